import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { findPortProblem } from '../../../scripts/start/free-port.ts';

describe('findPortProblem()', () => {
  it('names a port that is taken, and finds nothing once it is free', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    expect(await findPortProblem(port, '127.0.0.1')).toBe('EADDRINUSE');
    await new Promise((resolve) => server.close(resolve));
    expect(await findPortProblem(port, '127.0.0.1')).toBeUndefined();
  });

  it('names an address that is not of this machine', async () => {
    expect(await findPortProblem(0, '203.0.113.1')).toBe('EADDRNOTAVAIL');
  });
});
