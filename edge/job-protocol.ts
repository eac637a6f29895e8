/**
 * What passes between a request and the job object that draws its picture.
 *
 * A request POSTs a `JobOrder` and reads server-sent events: `preview` …, then exactly one `completed` or `failed`. Ids count
 * from 1, so that a reader can come back with `from`. Between them comes `progress`, without an id. Comments are the heartbeat; one of them says that the function has
 * taken the work.
 */
import type { ErrorCode } from '#shared/errors.ts';
import type { ImageFormat } from '#shared/schemas/fields.ts';
import type { PredictionInput } from '#shared/schemas/prediction-input.ts';
import type { Warning } from '#shared/schemas/problem.ts';
import type { PayingToken } from './paying-token.ts';
import type { BucketLimits, BucketView } from './token-bucket.ts';

/** Everything an execution needs; it outlives the request that ordered it. */
export interface JobSpec {
  readonly cacheKey: string;
  readonly input: PredictionInput & {
    readonly seed: number;
    readonly width: number;
    readonly height: number;
  };
  /** Id of the model that draws it. */
  readonly model: string;
  /** Revision that has to draw it. */
  readonly revision: string;
  readonly previews: number;
  readonly deadlineMs: number;
  /** False for pictures that must not be kept. */
  readonly store: boolean;
  /** Whether the caller can come back: then the work goes on for a moment without followers. */
  readonly resumable: boolean;
  /** Account that has it drawn: it may delete the picture. */
  readonly account: string;
  /** Set for a private picture: the account that it belongs to. */
  readonly owner?: string | undefined;
  /** Key that pays for an execution. */
  readonly keyId: string;
  readonly limits: BucketLimits;
  /** Browser token of that key that the order came with. */
  readonly token?: PayingToken | undefined;
  readonly requestId: string;
  readonly traceparent?: string | undefined;
}

export interface JobOrder {
  readonly spec: JobSpec;
  /** Last event id that the follower has; 0 for all. */
  readonly from: number;
  /** Draw again although there is a result. */
  readonly fresh: boolean;
  /** Whether the leader wants the picture inside `completed`, before it is stored. */
  readonly inline: boolean;
}

/** Milliseconds by stage. */
export interface Timings {
  readonly queue?: number;
  readonly text?: number;
  readonly denoise?: number;
  readonly vae?: number;
  readonly image?: number;
}

/** A drawn picture, without its bytes. What the index of the store keeps for a cache key. */
export interface PictureEntry {
  /** SHA-256 of the file, 64 hexadecimal digits. */
  readonly digest: string;
  /** Account of a private picture. */
  readonly owner?: string | undefined;
  readonly format: ImageFormat;
  readonly bytes: number;
  readonly width: number;
  readonly height: number;
  readonly seed: number;
  /** Unix milliseconds. */
  readonly createdMs: number;
  readonly revision: string;
  readonly promptTokens: number;
  readonly warnings: readonly Warning[];
}

export interface JobPreview {
  readonly step: number;
  readonly steps: number;
  /** Data URI. */
  readonly image: string;
}

export interface JobCompleted {
  readonly entry: PictureEntry;
  readonly timings: Timings;
  /** Whether the bucket has the bytes. Where it has not, `image` is there. */
  readonly stored: boolean;
  /** The file in base64. */
  readonly image?: string;
}

export interface JobFailed {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly param?: string | undefined;
  readonly retryAfterMs?: number | undefined;
}

export type JobEvent =
  | ({ readonly type: 'preview' } & JobPreview)
  | ({ readonly type: 'completed' } & JobCompleted)
  | ({ readonly type: 'failed' } & JobFailed);

/** `leader` started the execution, `follower` joined it, `late` got what was drawn before. */
export type JobRole = 'leader' | 'follower' | 'late';

/** Head of the answer to an order, as JSON in the header `HEAD_HEADER`. */
export interface JobHead {
  readonly role: JobRole;
  /** The leader's budget after it was charged. */
  readonly budget?: BucketView | undefined;
}

/** Answer to an order that was refused, status 400 or above. */
export interface JobRefusal {
  readonly failure: JobFailed;
  readonly budget?: BucketView | undefined;
}

/** What a verified webhook says to the object that waits for it. */
export interface Delivery {
  /** Id of the run that ordered the prediction. */
  readonly run: string;
  /** Id that the upstream gave it. */
  readonly predictionId: string;
  /** Id of the delivery, the same on every repetition. */
  readonly deliveryId: string;
}

export type DeliveryOutcome = 'taken' | 'repeated' | 'unknown';

export const HEAD_HEADER = 'Pixart-Job';

/** Comment that says: the function has taken the work. */
export const ACCEPTED = 'accepted';

/** Event, without an id, that says how many steps are done. */
export const PROGRESS = 'progress';
