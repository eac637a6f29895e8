/** What the app is built from, and what its middleware hands on. */
import type { AccountNamespace } from './account-protocol.ts';
import type { ApiKeys, Caller } from './api-keys.ts';
import type { Config } from './config.ts';
import type { Counters } from './counters.ts';
import type { PictureDeleter } from './delete-picture.ts';
import type { Idempotency } from './idempotency.ts';
import type { ImageStore } from './image-store.ts';
import type { Delivery, DeliveryOutcome } from './job-protocol.ts';
import type { JobNamespace } from './jobs.ts';
import type { KeyStore } from './key-store.ts';
import type { Log } from './log.ts';
import type { OpenStreams } from './open-streams.ts';
import type { PromptPolicy } from './prompt-policy.ts';
import type { ReadLeases, ReadView } from './read-leases.ts';
import type { Surface } from './render-error.ts';
import type { Route } from './route-table.ts';
import type { StageTimes } from './timing.ts';
import type { BucketLimits, BucketView } from './token-bucket.ts';
import type { VariantNamespace } from './variants.ts';

export interface Deps {
  readonly config: Config;
  readonly log: Log;
  readonly apiKeys: ApiKeys;
  readonly keyStore: KeyStore;
  readonly readLeases: ReadLeases;
  readonly images: ImageStore;
  readonly variants: VariantNamespace;
  readonly deletePicture: PictureDeleter;
  readonly jobs: JobNamespace;
  readonly idempotency: Idempotency;
  readonly streams: OpenStreams;
  readonly promptPolicy: PromptPolicy;
  readonly accounts: AccountNamespace;
  /** Uploaded files. */
  readonly files: R2Bucket;
  readonly isUpstreamReady: () => Promise<boolean>;
  /** Tells a job, by the name of its object, of a verified webhook. */
  readonly deliver: (jobName: string, delivery: Delivery) => Promise<DeliveryOutcome>;
  /** Files of the page; absent where none are bound. */
  readonly assets: ((request: Request) => Promise<Response>) | undefined;
  readonly counters: Counters;
  /** What all isolates have counted. */
  readonly metricsText: () => Promise<string>;
  readonly now: () => number;
  readonly randomSeed: () => number;
}

/** The generation budget as far as this request knows it. */
export interface GenerationView extends BucketView {
  readonly limits: BucketLimits;
}

export interface Variables {
  requestId: string;
  traceparent: string;
  times: StageTimes;
  surface: Surface;
  route: Route | undefined;
  caller: Caller;
  reads: ReadView | undefined;
  /** The answer is for its asker alone: no page of another origin may read it. */
  isPrivate: boolean;
  generations: GenerationView | undefined;
  /** Fields for the log line of this request. */
  logFields: Record<string, unknown>;
}

export interface AppEnv {
  Variables: Variables;
}
