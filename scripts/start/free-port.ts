/** Whether a port can be had, before anything is started for it. */
import { createServer } from 'node:net';

/** @returns the error code that listening would fail with, or undefined */
export function findPortProblem(port: number, host: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}
