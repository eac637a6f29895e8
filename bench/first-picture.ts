/**
 * From `npm start` to a first picture over HTTP, then a second one from the cache, then Ctrl-C. Fails if any of it does.
 *
 *     node bench/first-picture.ts [--kept DIR]     DIR keeps keys and the converted model: measures a later start
 *
 * Without `--kept` the model is converted first, as on a new machine.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { cpus, loadavg, tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

const ROOT = path.resolve(import.meta.dirname, '..');
const START_DEADLINE_MS = 120_000;
const STOP_DEADLINE_MS = 20_000;
const PROMPT = 'a happy cactus in the desert';
/** Another one each time: kept state may hold the picture of the last time. */
const SEED = Date.now() % 2 ** 32;
const PNG_SIGNATURE = '89504e470d0a1a0a';

const { values } = parseArgs({ options: { kept: { type: 'string' } } });
const localDir = values.kept ?? (await mkdtemp(path.join(tmpdir(), 'pixart-edge-first-')));
const port = await findFreePort();
const startedMs = performance.now();
const service = spawn('npm', ['start'], {
  cwd: ROOT,
  env: { ...process.env, PORT: String(port), LOCAL_DIR: path.resolve(localDir) },
  stdio: ['ignore', 'pipe', 'inherit'],
  // A group of its own, so that Ctrl-C can be sent to all of it as a terminal does.
  detached: true,
});
/** Its pipe closes when the last process that it has started is gone. */
const ended = once(service, 'close');
try {
  await waitForText(service, 'Ctrl-C ends it.');
  const readyMs = performance.now() - startedMs;
  const origin = `http://127.0.0.1:${port}`;
  const key = (await readFile(path.join(localDir, 'api-key'), 'utf8')).trim();
  const first = await draw(origin, key);
  const firstMs = performance.now() - startedMs;
  const secondStartedMs = performance.now();
  const second = await draw(origin, key);
  const hitMs = performance.now() - secondStartedMs;
  expect(first.cache === 'miss', `the first picture is a ${first.cache}`);
  expect(second.cache === 'hit', `the second picture is a ${second.cache}`);
  expect(first.sha256 === second.sha256, 'the second picture has other bytes');
  const stoppingMs = performance.now();
  process.kill(-service.pid!, 'SIGINT');
  await waitForEnd();
  const stopMs = performance.now() - stoppingMs;
  const report = {
    ready_ms: Math.round(readyMs),
    first_picture_ms: Math.round(firstMs),
    cache_hit_ms: Math.round(hitMs),
    stop_ms: Math.round(stopMs),
    picture_bytes: first.bytes,
    converted: values.kept === undefined,
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    load: loadavg()[0],
  };
  process.stdout.write(`${JSON.stringify(report)}\n`);
} finally {
  service.kill('SIGTERM');
  await waitForEnd();
  if (values.kept === undefined) await rm(localDir, { recursive: true, force: true });
}

async function draw(origin: string, key: string) {
  const response = await fetch(`${origin}/v1/images/generations`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ prompt: PROMPT, seed: SEED }),
    signal: AbortSignal.timeout(60_000),
  });
  const text = await response.text();
  expect(response.ok, `status ${response.status}: ${text}`);
  const [picture] = (JSON.parse(text) as { data: { b64_json: string; cache: string }[] }).data;
  const bytes = Buffer.from(picture?.b64_json ?? '', 'base64');
  expect(bytes.toString('hex', 0, 8) === PNG_SIGNATURE, 'the picture is not a PNG');
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { cache: picture?.cache, bytes: bytes.length, sha256 };
}

function waitForText(child: ChildProcess, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let output = '';
    const timer = setTimeout(
      () => reject(new Error(`no start within ${START_DEADLINE_MS} ms:\n${output}`)),
      START_DEADLINE_MS,
    );
    child.stdout?.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (!output.includes(text)) return;
      clearTimeout(timer);
      resolve();
    });
    child.once('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`npm start ended with code ${code}:\n${output}`));
    });
  });
}

async function waitForEnd(): Promise<void> {
  const late = new AbortController();
  const deadline = sleep(STOP_DEADLINE_MS, 'late', { signal: late.signal });
  if ((await Promise.race([ended, deadline])) === 'late') {
    throw new Error(`no end within ${STOP_DEADLINE_MS} ms`);
  }
  late.abort();
  await deadline.catch(() => undefined);
}

function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port: free } = server.address() as { port: number };
      server.close(() => resolve(free));
    });
  });
}

function expect(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise);
}
