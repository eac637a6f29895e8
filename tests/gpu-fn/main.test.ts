/** The function as a process: real threads, real ONNX Runtime, the tiny checkpoint. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { allEvents, readEvents } from '../helpers/gpu-function.ts';
import { makeTinyBundle, type TinyBundle } from '../helpers/tiny-bundle.ts';

const MAIN = new URL('../../gpu-fn/main.ts', import.meta.url);

let bundle: TinyBundle;
const children = new Set<ChildProcess>();
beforeAll(async () => {
  bundle = await makeTinyBundle();
});
afterAll(async () => {
  await bundle[Symbol.asyncDispose]();
});
afterEach(killChildren);

async function killChildren(): Promise<void> {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  children.clear();
}

interface Started {
  readonly child: ChildProcess;
  readonly origin: string;
  /** `ready` or `setup_failed`, as the process says over IPC. */
  readonly outcome: Promise<string>;
  output(): string;
}

function spawnMain(env: Record<string, string>, args: string[] = []) {
  const child = fork(MAIN, args, {
    env: { PATH: process.env.PATH, PORT: '0', BUNDLE: bundle.folder, ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  children.add(child);
  let text = '';
  child.stdout?.on('data', (chunk) => (text += chunk));
  child.stderr?.on('data', (chunk) => (text += chunk));
  return { child, output: () => text };
}

async function start(env: Record<string, string> = {}): Promise<Started> {
  const { child, output } = spawnMain(env);
  const listening = Promise.withResolvers<number>();
  const outcome = Promise.withResolvers<string>();
  child.on('message', (message: { type: string; port: number }) => {
    if (message.type === 'listening') listening.resolve(message.port);
    else outcome.resolve(message.type);
  });
  child.once('exit', () => listening.reject(new Error(`the function exited: ${output()}`)));
  const port = await listening.promise;
  return { child, origin: `http://127.0.0.1:${port}`, outcome: outcome.promise, output };
}

async function startReady(env: Record<string, string> = {}): Promise<Started> {
  const started = await start(env);
  expect(await started.outcome).toBe('ready');
  return started;
}

function predict(origin: string, input: object, headers: Record<string, string> = {}) {
  return fetch(`${origin}/predictions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify({ id: 'p1', input: { prompt: 'a red apple', seed: 3, ...input } }),
  });
}

const STREAM = { Accept: 'text/event-stream' };
/** Eighty steps, a second or two: there is time to do something while it runs. */
const LONG = { num_outputs: 10, num_inference_steps: 8 };

async function picture(origin: string, input: object): Promise<Buffer> {
  const body = (await (await predict(origin, input)).json()) as { output: string[] };
  return Buffer.from(body.output[0]!.split(',')[1]!, 'base64');
}

/** Reads a stream up to its first step, and gives what is left. */
async function untilFirstStep(response: Response) {
  const items = readEvents(response);
  for (;;) {
    const { value, done } = await items.next();
    if (done) throw new Error('the stream ended before the first step');
    if (value.kind === 'event' && value.event === 'log') return items;
  }
}

async function rest(items: ReturnType<typeof readEvents>) {
  const events = [];
  for await (const item of items) {
    if (item.kind === 'event') events.push({ event: item.event, data: JSON.parse(item.data) });
  }
  return events;
}

describe('main.ts, drawing', () => {
  let origin: string;
  let shared: ChildProcess;
  beforeAll(async () => {
    ({ origin, child: shared } = await startReady());
    children.delete(shared); // lives as long as these tests
  });
  afterAll(async () => {
    children.add(shared);
    await killChildren();
  });

  it('loads the bundle and draws: same request, same bytes; other seed, other picture', async () => {
    expect(await (await fetch(`${origin}/model`)).json()).toMatchObject({
      id: 'pixart-edge/tiny',
      revision: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    const [first, again, other] = [
      await picture(origin, {}),
      await picture(origin, {}),
      await picture(origin, { seed: 4 }),
    ];
    const { width, height, format } = await sharp(first).metadata();
    expect({ width, height, format }).toEqual({ width: 64, height: 64, format: 'png' });
    expect(again.equals(first)).toBe(true);
    expect(other.equals(first)).toBe(false);
  });

  it('draws the pictures of one request with consecutive seeds', async () => {
    const both = (await (await predict(origin, { num_outputs: 2 })).json()) as { output: string[] };
    const second = await picture(origin, { seed: 4 });
    expect(both.output).toHaveLength(2);
    expect(both.output[1]).toBe(`data:image/png;base64,${second.toString('base64')}`);
  });

  it('streams a small preview of each step that was asked for', async () => {
    const events = await allEvents(
      await predict(origin, {}, { ...STREAM, 'Pixart-Previews': '2' }),
    );
    const previews = events.filter(({ event }) => event === 'preview').map(({ data }) => data);
    expect(previews.map(({ step, steps }) => [step, steps])).toEqual([
      [1, 4],
      [2, 4],
    ]);
    for (const { image } of previews) {
      const bytes = Buffer.from(image.split(',')[1], 'base64');
      expect(bytes.length).toBeLessThanOrEqual(16_384);
      expect((await sharp(bytes).metadata()).format).toBe('webp');
    }
    expect(events.at(-1)?.data).toMatchObject({ status: 'succeeded' });
  });

  it('answers other requests while it draws', async () => {
    const items = await untilFirstStep(await predict(origin, LONG, STREAM));
    const health = (await (await fetch(`${origin}/health-check`)).json()) as { status: string };
    // BUSY proves that the answer came before the prediction ended.
    expect(health.status).toBe('BUSY');
    expect((await rest(items)).at(-1)?.data).toMatchObject({ status: 'succeeded' });
  });

  it('stops a canceled prediction between two steps, and draws the next one', async () => {
    const items = await untilFirstStep(await predict(origin, LONG, STREAM));
    await fetch(`${origin}/predictions/p1/cancel`, { method: 'POST' });
    const events = await rest(items);
    expect(events.at(-1)).toMatchObject({ event: 'completed', data: { status: 'canceled' } });
    expect(events.filter(({ event }) => event === 'log').length).toBeLessThan(79);
    expect(await picture(origin, {})).toBeInstanceOf(Buffer);
  });

  it('stops at the deadline', async () => {
    const hurried = await startReady({ JOB_DEADLINE_MS: '100' });
    const body = await (
      await predict(hurried.origin, { ...LONG, width: 2048, height: 1024 })
    ).json();
    expect(body).toMatchObject({ status: 'failed', code: 'deadline_exceeded' });
  });
});

describe('main.ts, life', () => {
  it('finishes what runs on SIGTERM, then exits with 0', async () => {
    const { child, origin, output } = await startReady();
    const items = await untilFirstStep(await predict(origin, LONG, STREAM));
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    expect((await rest(items)).at(-1)?.data).toMatchObject({ status: 'succeeded' });
    expect(await exited).toEqual([0, null]);
    expect(output()).toContain('"event":"server.draining","reason":"SIGTERM"');
    await expect(fetch(`${origin}/health-check`)).rejects.toThrow();
  });

  it('ends with one error what outlives the drain', async () => {
    const { child, origin } = await startReady({ DRAIN_DEADLINE_MS: '10' });
    const items = await untilFirstStep(await predict(origin, LONG, STREAM));
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    const ends = (await rest(items)).filter(({ event }) => event === 'completed');
    expect(ends).toMatchObject([{ data: { status: 'failed', code: 'upstream_lost' } }]);
    expect(await exited).toEqual([0, null]);
  });

  it('exits on POST /shutdown, and marks its readiness in a file while it serves', async () => {
    const readyFile = join(dirname(bundle.folder), 'run/ready');
    const { child, origin } = await startReady({ READY_FILE: readyFile });
    await expect.poll(() => existsSync(readyFile)).toBe(true);
    const exited = once(child, 'exit');
    expect((await fetch(`${origin}/shutdown`, { method: 'POST' })).status).toBe(200);
    expect(await exited).toEqual([0, null]);
    expect(existsSync(readyFile)).toBe(false);
  });

  it('exits when its parent is gone', async () => {
    const { child } = await startReady();
    const exited = once(child, 'exit');
    child.disconnect();
    expect(await exited).toEqual([0, null]);
  });

  it('ignores SIGTERM when told to await an explicit shutdown', async () => {
    const { child, origin, output } = await startReady({ AWAIT_EXPLICIT_SHUTDOWN: '1' });
    child.kill('SIGTERM');
    await expect.poll(output).toContain('"event":"signal.ignored"');
    expect((await fetch(`${origin}/health-check`)).status).toBe(200);
    expect(child.exitCode).toBeNull();
  });

  it('stays up with a damaged bundle and says which file', async () => {
    const damaged = join(dirname(bundle.folder), 'damaged');
    await mkdir(damaged);
    for (const name of await readdir(bundle.folder)) {
      await copyFile(join(bundle.folder, name), join(damaged, name));
    }
    await writeFile(join(damaged, 'tokenizer.json'), '{}');
    const { origin, outcome } = await start({ BUNDLE: damaged });
    expect(await outcome).toBe('setup_failed');
    const health = await (await fetch(`${origin}/health-check`)).json();
    expect(health).toMatchObject({
      status: 'SETUP_FAILED',
      setup: { status: 'failed', logs: expect.stringContaining('tokenizer.json: 2 bytes') },
    });
    expect(JSON.stringify(health)).not.toContain(damaged);
    expect((await predict(origin, {})).status).toBe(503);
  });
});

describe('main.ts, start', () => {
  it('says what is wrong with the settings and exits with 1', async () => {
    const { child, output } = spawnMain({ HOST: '0.0.0.0', PORT: 'x' });
    expect((await once(child, 'close'))[0]).toBe(1);
    expect(output()).toContain('PORT must be an integer');
    expect(output()).toContain('HOST 0.0.0.0 is reachable from other machines');
  });

  it('says that the port is taken and exits with 1', async () => {
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
    const { port } = blocker.address() as { port: number };
    const { child, output } = spawnMain({ PORT: String(port) });
    expect((await once(child, 'close'))[0]).toBe(1);
    expect(output()).toContain('EADDRINUSE');
    blocker.close();
  });

  it('prints its settings with --help', async () => {
    const { child, output } = spawnMain({}, ['--help']);
    expect((await once(child, 'close'))[0]).toBe(0);
    expect(output()).toContain('GPU_SIGNING_KEY');
  });

  it('refuses unknown options with 2', async () => {
    const { child, output } = spawnMain({}, ['--nonsense']);
    expect((await once(child, 'close'))[0]).toBe(2);
    expect(output()).toContain('--nonsense');
  });
});
