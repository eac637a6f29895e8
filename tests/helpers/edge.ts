/** The real Worker on workerd in front of the stand-in for the function, with one API key. */
import { connect, type Socket } from 'node:net';
import { createApiKey } from '#shared/api-key.ts';
import { decodeSse } from '#shared/sse.ts';
import { type RunningWorker, startWorker } from '../../scripts/worker-runtime.ts';
import { MODEL } from './model.ts';
import { startUpstream, type UpstreamStandIn } from './upstream.ts';

export const SIGNING_KEY = 'test:a signing key for the tests';

export interface RunningEdge extends AsyncDisposable {
  readonly url: string;
  readonly worker: RunningWorker;
  readonly upstream: UpstreamStandIn;
  readonly key: string;
  readonly keyId: string;
  /** What the Worker logged, parsed. */
  readonly log: Record<string, unknown>[];
  /** A second key, of another account. */
  readonly otherKey: string;
  /** More keys, as `accounts` asked for them. */
  readonly keys: readonly string[];
  /** POSTs a generation with the key. */
  generate(body: unknown, init?: RequestInit): Promise<Response>;
}

export async function startEdge({
  bindings = {},
  stateDir,
  entry,
  accounts = [],
  gpuUrl,
  rate = 100_000,
  burst = 10_000,
  scopes = ['generate', 'read'],
  isolates = 1,
}: {
  bindings?: Record<string, string>;
  stateDir?: string;
  /** Module of the Worker, where it is not the real one. */
  entry?: string;
  /** One more key for each of them. */
  accounts?: readonly string[];
  /** Where the function is, when it is not the stand-in. */
  gpuUrl?: string;
  rate?: number;
  burst?: number;
  scopes?: readonly string[];
  isolates?: number;
} = {}): Promise<RunningEdge> {
  const upstream = await startUpstream({ signingKey: SIGNING_KEY });
  const { key, id, sha256 } = await createApiKey();
  const other = await createApiKey();
  const budget = { scopes, rate, burst, streams: 10_000 };
  const others = await Promise.all(
    accounts.map(async (account) => ({ ...(await createApiKey()), account })),
  );
  const log: Record<string, unknown>[] = [];
  const worker = await startWorker({
    gpuUrl: gpuUrl ?? upstream.url,
    stateDir,
    isolates,
    entry,
    onLog: (line) => log.push(parseLine(line)),
    bindings: {
      MODELS: JSON.stringify([MODEL]),
      GPU_SIGNING_KEY: SIGNING_KEY,
      API_KEYS_BOOTSTRAP: JSON.stringify([
        { id, sha256, ...budget },
        { id: other.id, sha256: other.sha256, account: 'other', ...budget },
        ...others.map(({ key: _, ...record }) => ({ ...record, ...budget })),
      ]),
      READS_PER_MINUTE: '1000000',
      ...bindings,
    },
  });
  const { url } = worker;
  return {
    url,
    worker,
    upstream,
    key,
    keyId: id,
    otherKey: other.key,
    keys: others.map(({ key: other }) => other),
    log,
    generate: (body, init = {}) =>
      fetch(`${url}/v1/images/generations`, {
        method: 'POST',
        body: JSON.stringify(body),
        ...init,
        headers: {
          'Content-Type': 'application/json',
          Authorization: `Bearer ${key}`,
          ...(init.headers as Record<string, string> | undefined),
        },
      }),
    [Symbol.asyncDispose]: async () => {
      await worker.dispose();
      await upstream.close();
    },
  };
}

function parseLine(line: string): Record<string, unknown> {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    // The runtime's own words.
    return { event: 'runtime.said', line };
  }
}

export interface StreamRecord {
  readonly event: string;
  // Tests read single members out of events of several kinds.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  readonly data: any;
}

/** The body as JSON; tests read single members of it. */
// biome-ignore lint/suspicious/noExplicitAny: see above
export function readJson(response: Response): Promise<any> {
  return response.json();
}

/**
 * All events of a stream, comments left out.
 *
 * @param onEvent  called as they come
 */
export async function readEvents(
  response: Response,
  onEvent: (event: StreamRecord) => void = () => undefined,
): Promise<StreamRecord[]> {
  const events: StreamRecord[] = [];
  if (response.body === null) return events;
  for await (const item of decodeSse(response.body as never, { bytesMax: 1e8 })) {
    if (item.kind !== 'event') continue;
    const event = { event: item.event, data: JSON.parse(item.data) };
    events.push(event);
    onEvent(event);
  }
  return events;
}

/** A request on a bare socket, for what `fetch` would tidy up or not let go of. */
export interface RawRequest {
  readonly socket: Socket;
  /** Everything that has come back so far. */
  text(): string;
  /** Resolves with the whole answer once the other side closes. */
  closed(): Promise<string>;
  /** Resolves once the answer so far matches. */
  has(pattern: RegExp): Promise<string>;
}

export function rawRequest(url: string, bytes: string | Uint8Array): RawRequest {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const chunks: Buffer[] = [];
  const watchers = new Set<() => void>();
  let isClosed = false;
  const changed = () => {
    for (const watcher of watchers) watcher();
  };
  const until = <T>(test: () => T | undefined): Promise<T> =>
    new Promise((resolve) => {
      const watcher = () => {
        const value = test();
        if (value === undefined) return;
        watchers.delete(watcher);
        resolve(value);
      };
      watchers.add(watcher);
      watcher();
    });
  const text = () => Buffer.concat(chunks).toString('latin1');
  socket.on('data', (chunk) => {
    chunks.push(chunk);
    changed();
  });
  socket.on('close', () => {
    isClosed = true;
    changed();
  });
  socket.on('error', () => undefined);
  socket.write(bytes);
  return {
    socket,
    text,
    closed: () => until(() => (isClosed ? text() : undefined)),
    has: (pattern) => until(() => (pattern.test(text()) ? text() : undefined)),
  };
}

/** Bytes of a generation request. */
export function generationBytes(edge: RunningEdge, body: unknown): string {
  const json = JSON.stringify(body);
  return [
    'POST /v1/images/generations HTTP/1.1',
    'Host: edge.test',
    'Content-Type: application/json',
    `Authorization: Bearer ${edge.key}`,
    `Content-Length: ${Buffer.byteLength(json)}`,
    '',
    json,
  ].join('\r\n');
}
