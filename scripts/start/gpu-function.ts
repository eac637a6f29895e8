/**
 * The function as a child process: started, watched, restarted when it dies, stopped.
 *
 * It keeps one port for its whole life, so that the Worker need not be told when it comes back.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT } from '../node-runtime.js';

/** Starts again after so long: doubled each time, forgotten once it has served for `STABLE_MS`. */
const BACKOFF_MS_MIN = 250;
const BACKOFF_MS_MAX = 10_000;
const STABLE_MS = 60_000;
/** From start to a loaded model. */
const READY_DEADLINE_MS = 120_000;
const STOP_DEADLINE_MS = 8000;

export interface GpuFunctionOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Gets each line that the function prints. */
  readonly onLine: (line: string) => void;
  /** Told when it has died by itself and will be started again. */
  readonly onDeath?: (how: string, restartInMs: number) => void;
  /** Default: `gpu-fn/main.ts`. */
  readonly script?: string;
}

interface Message {
  readonly type: 'listening' | 'ready' | 'setup_failed';
  readonly port?: number;
  readonly logs?: string;
}

/** The function could not be started; the message is for the user. */
export class GpuFunctionError extends Error {
  override readonly name = 'GpuFunctionError';
}

export class GpuFunctionProcess {
  readonly #options: GpuFunctionOptions;
  #child: ChildProcess | undefined;
  #port = 0;
  #backoffMs = BACKOFF_MS_MIN;
  readonly #stopping = new AbortController();
  /** Settles when a first model is loaded. */
  readonly ready: Promise<void>;
  readonly #listening: Promise<void>;

  constructor(options: GpuFunctionOptions) {
    this.#options = options;
    const listening = Promise.withResolvers<void>();
    const ready = Promise.withResolvers<void>();
    this.#listening = listening.promise;
    this.ready = ready.promise;
    // Whoever awaits only one of the two must not be told of the other as unhandled.
    listening.promise.catch(() => undefined);
    ready.promise.catch(() => undefined);
    this.#start({
      onListening: () => listening.resolve(),
      onReady: () => ready.resolve(),
      onFailure: (error) => {
        listening.reject(error);
        ready.reject(error);
      },
    });
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * Base URL, once it listens.
   *
   * @throws {GpuFunctionError}
   */
  async url(): Promise<string> {
    await this.#listening;
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Lets it finish what runs, then ends it in any case. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE_MS);
    await gone;
    clearTimeout(timer);
  }

  #start({
    onListening,
    onReady,
    onFailure,
  }: {
    onListening: () => void;
    onReady: () => void;
    onFailure: (error: GpuFunctionError) => void;
  }): void {
    const { env, onLine, script = path.join(ROOT, 'gpu-fn/main.ts') } = this.#options;
    const child = spawn(process.execPath, [script], {
      env: { ...env, PORT: String(this.#port), HOST: '127.0.0.1' },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // Ctrl-C reaches the whole group of processes; this one is stopped in its turn.
      detached: true,
    });
    this.#child = child;
    const startedMs = Date.now();
    let isReady = false;
    let lastLine = '';
    const watchdog = setTimeout(() => child.kill('SIGKILL'), READY_DEADLINE_MS);
    const forward = (line: string) => {
      lastLine = line;
      onLine(line);
    };
    forEachLine(child.stdout, forward);
    forEachLine(child.stderr, forward);
    child.on('message', (message: Message) => {
      if (message.type === 'listening' && message.port !== undefined) {
        this.#port = message.port;
        onListening();
      } else if (message.type === 'ready') {
        isReady = true;
        clearTimeout(watchdog);
        onReady();
      } else if (message.type === 'setup_failed') {
        onFailure(new GpuFunctionError(`The model does not load.\n${message.logs ?? ''}`.trim()));
      }
    });
    child.on('error', (error) => onFailure(new GpuFunctionError(error.message)));
    child.on('close', (code, signal) => {
      clearTimeout(watchdog);
      const how = signal === null ? `exit code ${code}` : signal;
      onFailure(new GpuFunctionError(`The function ended (${how}). ${lastLine}`.trim()));
      if (this.#stopping.signal.aborted) return;
      if (isReady && Date.now() - startedMs > STABLE_MS) this.#backoffMs = BACKOFF_MS_MIN;
      void this.#restart(how);
    });
  }

  async #restart(how: string): Promise<void> {
    const waitMs = this.#backoffMs;
    this.#backoffMs = Math.min(BACKOFF_MS_MAX, waitMs * 2);
    this.#options.onDeath?.(how, waitMs);
    try {
      await sleep(waitMs, undefined, { signal: this.#stopping.signal });
    } catch {
      // Stopped while waiting.
      return;
    }
    const nobodyWaits = () => undefined;
    this.#start({ onListening: nobodyWaits, onReady: nobodyWaits, onFailure: nobodyWaits });
  }
}

function forEachLine(stream: NodeJS.ReadableStream | null, onLine: (line: string) => void): void {
  let rest = '';
  stream?.setEncoding('utf8');
  stream?.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  });
  stream?.on('end', () => {
    if (rest !== '') onLine(rest);
  });
}
