/** A function on a free loopback port with an engine of the test's, and readers for what it answers. */
import { loadConfig } from '../../gpu-fn/config.ts';
import { createLog } from '../../gpu-fn/log.ts';
import { createFunction, type FunctionDeps, type GpuFunction } from '../../gpu-fn/server.ts';
import { decodeSse, type SseItem } from '../../shared/sse.ts';
import { ControlledEngine } from './controlled-engine.ts';

export interface RunningFunction extends AsyncDisposable {
  readonly gpuFunction: GpuFunction;
  readonly engine: ControlledEngine;
  readonly origin: string;
  readonly port: number;
  /** Log lines so far, parsed. */
  readonly logLines: Record<string, unknown>[];
  /** POST of JSON to `/predictions`. */
  predict(body: unknown, headers?: Record<string, string>): Promise<Response>;
  healthStatus(): Promise<string>;
  metric(line: string): Promise<number>;
}

export interface StartOptions {
  readonly env?: Record<string, string>;
  readonly engine?: ControlledEngine;
  readonly deps?: Partial<FunctionDeps>;
}

export async function startFunction({
  env = {},
  engine = new ControlledEngine(),
  deps = {},
}: StartOptions = {}): Promise<RunningFunction> {
  const logLines: Record<string, unknown>[] = [];
  const log = createLog({ level: 'debug', write: (line) => logLines.push(JSON.parse(line)) });
  const config = loadConfig({
    PORT: '0',
    HOST: '127.0.0.1',
    BUNDLE: 'unused',
    DRAIN_DEADLINE_MS: '10',
    ...env,
  });
  const gpuFunction = createFunction({ config, engine, log, random: () => 0.5, ...deps });
  const port = await gpuFunction.listen();
  const origin = `http://127.0.0.1:${port}`;
  return {
    gpuFunction,
    engine,
    origin,
    port,
    logLines,
    predict: (body, headers = {}) =>
      fetch(`${origin}/predictions`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', ...headers },
        body: JSON.stringify(body),
      }),
    healthStatus: async () => {
      const body = (await (await fetch(`${origin}/health-check`)).json()) as { status: string };
      return body.status;
    },
    metric: async (line) => {
      const text = await (await fetch(`${origin}/metrics`)).text();
      const found = text.split('\n').find((each) => each.startsWith(`${line} `));
      return found === undefined ? 0 : Number(found.slice(line.length + 1));
    },
    [Symbol.asyncDispose]: async () => {
      await gpuFunction.drain();
      gpuFunction.server.closeAllConnections();
    },
  };
}

/** Reads a stream item by item, to its end. */
export function readEvents(response: Response): AsyncGenerator<SseItem, void, undefined> {
  return decodeSse(response.body as ReadableStream<Uint8Array>, { bytesMax: 2 ** 24 });
}

export interface NamedEvent {
  readonly event: string;
  // Each test knows the shape of the events it asks for.
  // biome-ignore lint/suspicious/noExplicitAny: data of any event
  readonly data: any;
}

/** All events until the stream ends, comments left out. */
export async function allEvents(response: Response): Promise<NamedEvent[]> {
  const events: NamedEvent[] = [];
  for await (const item of readEvents(response)) {
    if (item.kind === 'event') events.push({ event: item.event, data: JSON.parse(item.data) });
  }
  return events;
}
