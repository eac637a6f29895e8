/** The Worker as `npm start` runs it: state on disk, its own port, bounded pictures. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bundleWorker, startWorker, type WorkerOptions } from '../../scripts/worker-runtime.ts';
import { MODEL } from '../helpers/model.ts';
import { startUpstream, type UpstreamStandIn } from '../helpers/upstream.ts';

let stateDir: string;
let upstream: UpstreamStandIn;

beforeEach(async () => {
  stateDir = await mkdtemp(path.join(tmpdir(), 'pixart-edge-'));
  upstream = await startUpstream();
});
afterEach(async () => {
  await upstream.close();
  await rm(stateDir, { recursive: true, force: true });
});

function start(more: Partial<WorkerOptions> = {}) {
  return startWorker({
    gpuUrl: upstream.url,
    stateDir,
    bindings: { MODELS: JSON.stringify([MODEL]), AUTH_MODE: 'none', CACHE_API: 'off' },
    onLog: () => undefined,
    ...more,
  });
}

async function draw(url: string, prompt: string): Promise<{ cache: string; id: string }> {
  const response = await fetch(`${url}/v1/images/generations`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ prompt }),
  });
  const { data } = (await response.json()) as { data: [{ cache: string; id: string }] };
  return data[0];
}

describe('startWorker()', () => {
  test('startWorker() keeps pictures between two runs, and the oldest go first when there are too many', async () => {
    const first = await start();
    const drawn = [];
    const written = await first.miniflare.getR2Bucket('IMAGES', 'pixart-edge');
    for (const prompt of ['a', 'b', 'c']) {
      drawn.push(await draw(first.url, prompt));
      // Pictures are stored beside the answer, the entry last.
      const entries = async () => (await written.list({ prefix: 'key/' })).objects.length;
      await expect.poll(entries, { timeout: 10_000 }).toBe(drawn.length);
    }
    await first.dispose();

    const second = await start();
    expect(await draw(second.url, 'b')).toEqual({ ...drawn[1], cache: 'hit' });
    expect(upstream.received).toHaveLength(3);
    const bucket = await second.miniflare.getR2Bucket('IMAGES', 'pixart-edge');
    const { objects } = await bucket.list();
    const total = objects.reduce((sum, { size }) => sum + size, 0);
    expect(await second.prunePictures(total)).toEqual({ deleted: 0, bytes: total });
    const { deleted, bytes } = await second.prunePictures(total - 1);
    // The picture, and before it the note of whose it is.
    expect([deleted, bytes < total]).toEqual([2, true]);
    expect((await draw(second.url, 'c')).cache).toBe('hit');
    // The entry of the first picture leads nowhere now, so it is drawn again.
    expect((await draw(second.url, 'a')).cache).toBe('miss');
    await second.dispose();
  }, 180_000);

  test('startWorker() says which port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    const { port } = other.address() as AddressInfo;
    await expect(start({ port })).rejects.toThrow(/address/i);
    await new Promise((resolve) => other.close(resolve));
  });

  test('startWorker() takes the port that it is given', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    const { port } = other.address() as AddressInfo;
    await new Promise((resolve) => other.close(resolve));
    const worker = await start({ port });
    expect(worker.url).toBe(`http://127.0.0.1:${port}`);
    expect((await fetch(`${worker.url}/healthz`)).status).toBe(200);
    await worker.dispose();
  });
});

test('bundleWorker() makes one module without Node in it', async () => {
  const bundle = await bundleWorker();
  expect(bundle).toContain('cloudflare:workers');
  expect(bundle).not.toMatch(/from ["']node:/);
});
