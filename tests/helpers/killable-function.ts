/** A function that a test kills, stops and starts again on the same port. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const SCRIPT = path.join(
  path.dirname(fileURLToPath(import.meta.url)),
  'killable-function-process.ts',
);

type Message =
  | { readonly type: 'listening'; readonly port: number }
  | { readonly type: 'received' };

export class KillableFunction implements AsyncDisposable {
  readonly #env: Record<string, string>;
  #child: ChildProcess | undefined;
  #port = 0;
  /** Predictions that any of its processes was asked for. */
  received = 0;

  constructor(env: Record<string, string>) {
    this.#env = env;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Starts the process, and waits until it listens. */
  async start(): Promise<void> {
    const env = { ...process.env, ...this.#env, PORT: String(this.#port) };
    const child = fork(SCRIPT, { env, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    this.#child = child;
    const listening = Promise.withResolvers<void>();
    child.on('message', (message: Message) => {
      if (message.type === 'received') this.received += 1;
      else {
        this.#port = message.port;
        listening.resolve();
      }
    });
    child.once('exit', () => listening.reject(new Error('the function ended before it listened')));
    await listening.promise;
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child?.kill(signal);
  }

  /** `kill -9`, and waits until it is gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}
