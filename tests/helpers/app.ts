/** The app in Node, on stand-ins for everything outside it: for logic that needs no runtime. */
import type { Hono } from 'hono';
import { ApiKeys } from '../../edge/api-keys.ts';
import { createApp } from '../../edge/app.ts';
import type { AppEnv, Deps } from '../../edge/app-env.ts';
import { type Config, parseConfig } from '../../edge/config.ts';
import { Counters } from '../../edge/counters.ts';
import { DeletedPictures } from '../../edge/deleted-pictures.ts';
import { Idempotency } from '../../edge/idempotency.ts';
import { ImageStore, type ImageStoreOptions } from '../../edge/image-store.ts';
import type { KeyNamespace } from '../../edge/key-objects.ts';
import { KeyStore } from '../../edge/key-store.ts';
import { createLog } from '../../edge/log.ts';
import { OpenStreams } from '../../edge/open-streams.ts';
import { createPromptPolicy } from '../../edge/prompt-policy.ts';
import { ReadLeases } from '../../edge/read-leases.ts';
import { MODEL } from './model.ts';

interface MemoryObject {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly contentType: string;
  readonly customMetadata: Record<string, string>;
}

/** Keeps objects in a map; `fail` makes every call throw. */
export class MemoryBucket {
  readonly objects = new Map<string, MemoryObject>();
  reads = 0;
  fail = false;
  /** Held back until it settles. */
  delay: Promise<void> | undefined;

  async get(name: string) {
    this.reads += 1;
    await this.#misbehave();
    const object = this.objects.get(name);
    if (object === undefined) return null;
    return {
      httpMetadata: { contentType: object.contentType },
      customMetadata: object.customMetadata,
      uploaded: new Date(1_700_000_000_000),
      text: async () => new TextDecoder().decode(object.bytes),
      arrayBuffer: async () => object.bytes.slice().buffer,
    };
  }

  async put(
    name: string,
    value: string | Uint8Array<ArrayBuffer>,
    {
      httpMetadata = { contentType: '' },
      customMetadata = {},
    }: {
      httpMetadata?: { contentType: string };
      customMetadata?: Record<string, string>;
    } = {},
  ) {
    await this.#misbehave();
    const bytes = new Uint8Array(
      typeof value === 'string' ? new TextEncoder().encode(value) : value,
    );
    this.objects.set(name, { bytes, contentType: httpMetadata.contentType, customMetadata });
  }

  async delete(name: string) {
    await this.#misbehave();
    this.objects.delete(name);
  }

  async #misbehave(): Promise<void> {
    await this.delay;
    if (this.fail) throw new Error('the bucket is down');
  }
}

/** A store of pictures on a bucket in memory, without a cache before it. */
export function createMemoryImages(
  bucket: MemoryBucket,
  options: Partial<ImageStoreOptions> = {},
): ImageStore {
  return new ImageStore({
    bucket: bucket as unknown as R2Bucket,
    cache: undefined,
    deleted: new DeletedPictures({ since: async () => [], now: Date.now }),
    retentionMs: undefined,
    now: Date.now,
    log: createLog('silent'),
    ...options,
  });
}

export function testConfig(settings: Record<string, string> = {}): Config {
  return parseConfig({
    GPU_URL: 'http://127.0.0.1:1',
    MODELS: JSON.stringify([MODEL]),
    AUTH_MODE: 'none',
    LOG_LEVEL: 'silent',
    ...settings,
  });
}

/** Keys that name nothing, hold every stream and are never over. */
const KEYS: KeyNamespace = {
  getByName: () => ({
    holdStream: async () => ({ held: true, isOver: false }),
    releaseStream: async () => undefined,
    beginNamed: async () => ({ state: 'new', salt: '0'.repeat(32) }),
    renewNamed: async () => undefined,
    finishNamed: async () => undefined,
    waitForNamed: async () => undefined,
    saltOf: async () => '0'.repeat(32),
  }),
};

export interface TestApp {
  readonly app: Hono<AppEnv>;
  readonly bucket: MemoryBucket;
  readonly log: Record<string, unknown>[];
  /** Work that outlives its request, awaited by `request` too. */
  readonly request: (path: string, init?: RequestInit) => Promise<Response>;
}

export function createTestApp({
  settings = {},
  deps = {},
}: {
  settings?: Record<string, string>;
  deps?: Partial<Deps>;
} = {}): TestApp {
  const config = testConfig(settings);
  const log: Record<string, unknown>[] = [];
  const bucket = new MemoryBucket();
  const sink = createLog('debug', { write: (line) => log.push(JSON.parse(line)) });
  const app = createApp({
    config,
    log: sink,
    apiKeys: new ApiKeys({ lookUp: async () => null, now: Date.now }),
    readLeases: new ReadLeases({
      readsPerMinute: config.readsPerMinute,
      take: async (_id, _limits, { count }) => ({
        taken: count,
        revoked: false,
        remaining: 100,
        nextMs: 50,
        fullMs: 1000,
      }),
      now: Date.now,
    }),
    images: createMemoryImages(bucket, { log: sink, retentionMs: config.retentionMs }),
    variants: {
      getByName: () => ({
        fetch: () => Promise.reject(new Error('no variant was expected')),
        purge: async () => [],
      }),
    },
    deletePicture: () => Promise.reject(new Error('no deletion was expected')),
    jobs: {
      getByName: () => ({
        fetch: () => Promise.reject(new Error('no job was expected')),
      }),
    },
    idempotency: new Idempotency({ keys: KEYS, readPicture: async () => undefined }),
    streams: new OpenStreams(KEYS),
    keyStore: new KeyStore({ keys: {} as never, rings: {} as never, configured: [] }),
    counters: new Counters({ send: async () => undefined, now: Date.now }),
    metricsText: async () => '',
    promptPolicy: createPromptPolicy(config.promptBlocklist),
    accounts: {
      getByName: () => {
        throw new Error('no account was expected');
      },
    },
    files: bucket as unknown as R2Bucket,
    isUpstreamReady: async () => true,
    deliver: async () => 'unknown',
    assets: undefined,
    now: Date.now,
    randomSeed: () => 42,
    ...deps,
  });
  return {
    app,
    bucket,
    log,
    request: async (path, init) => {
      const waiting: Promise<unknown>[] = [];
      const context = {
        waitUntil: (work: Promise<unknown>) => void waiting.push(work),
        passThroughOnException: () => undefined,
        props: {},
      };
      const request = new Request(new URL(path, 'http://edge.test'), init);
      const response = await app.fetch(request as never, {}, context as never);
      await Promise.all(waiting);
      return response as unknown as Response;
    },
  };
}
