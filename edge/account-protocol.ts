/** What passes between a request and the account object that keeps predictions, files, deployments and webhooks. */
import type { ErrorCode } from '#shared/errors.ts';
import { encodeHex, sha256 } from '#shared/hex.ts';
import type { ImageFormat } from '#shared/schemas/fields.ts';
import type { Warning } from '#shared/schemas/problem.ts';
import type { WebhookEvent } from '#shared/schemas/replicate.ts';
import type { JobFailed, JobSpec } from './job-protocol.ts';
import type { BucketView } from './token-bucket.ts';

export type PredictionStatus = 'starting' | 'processing' | 'succeeded' | 'failed' | 'canceled';

/** A picture of a finished prediction. */
export interface OutputFile {
  readonly digest: string;
  readonly format: ImageFormat;
  readonly width: number;
  readonly height: number;
  readonly seed: number;
}

export interface Webhook {
  readonly url: string;
  readonly events: readonly WebhookEvent[];
  /** `replicate` sends the prediction, `fal` sends fal's envelope around the result. */
  readonly form: 'replicate' | 'fal';
}

/** A prediction as it is kept. */
export interface PredictionRecord {
  readonly id: string;
  readonly model: string;
  readonly version: string;
  readonly deployment: string | null;
  /** As the caller sent it. */
  readonly input: Readonly<Record<string, unknown>>;
  readonly status: PredictionStatus;
  /** Null until the end, so that no preview is taken for a result. */
  readonly output: readonly OutputFile[] | null;
  readonly logs: string;
  readonly error: string | null;
  readonly code: ErrorCode | null;
  readonly warnings: readonly Warning[];
  /** Unix milliseconds. */
  readonly createdMs: number;
  readonly startedMs: number | null;
  readonly completedMs: number | null;
  /** When it is canceled, where the caller has said so. */
  readonly deadlineMs: number | null;
  readonly webhook: Webhook | null;
  /** Origin of the absolute URLs in it. */
  readonly origin: string;
  /** Opens its stream to whoever has it: readers of streams send no key. */
  readonly streamToken: string;
  /** Number of the last event of its stream; 0 before the end. */
  readonly lastSeq: number;
}

/** A request that was checked, and the pictures that it means. */
export interface PredictionOrder {
  readonly model: string;
  readonly version: string;
  readonly deployment: string | null;
  readonly input: Readonly<Record<string, unknown>>;
  readonly warnings: readonly Warning[];
  readonly specs: readonly JobSpec[];
  /** Draw again although the pictures are there. */
  readonly reload: boolean;
  readonly onlyIfCached: boolean;
  readonly webhook: Webhook | null;
  readonly cancelAfterMs: number | null;
  readonly origin: string;
  /** Hexadecimal name of the object that keeps it, see `accountName`. */
  readonly owner: string;
}

export type PredictionAnswer = (
  | { readonly record: PredictionRecord; readonly failure?: undefined }
  | { readonly failure: JobFailed; readonly record?: undefined }
) & { readonly budget: BucketView | null };

export interface PredictionQuery {
  /** Only what is older than this one: its creation and its id. */
  readonly before: readonly [createdMs: number, id: string] | null;
  readonly createdAfterMs: number | null;
  readonly createdBeforeMs: number | null;
  readonly limit: number;
}

/** An uploaded file, without its bytes: these lie in the bucket under `fileName`. */
export interface FileRecord {
  readonly id: string;
  readonly name: string;
  readonly contentType: string;
  readonly size: number;
  readonly sha256: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly createdMs: number;
  readonly expiresMs: number;
}

export interface DeploymentRecord {
  readonly name: string;
  readonly model: string;
  readonly version: string;
  readonly number: number;
  readonly createdMs: number;
  readonly configuration: {
    readonly hardware: string;
    readonly min_instances: number;
    readonly max_instances: number;
  };
}

/** What routes ask an account object; `fetch` opens the stream of a prediction. */
export interface AccountStub {
  fetch(request: Request): Promise<Response>;
  createPrediction(order: PredictionOrder): Promise<PredictionAnswer>;
  getPrediction(id: string): Promise<PredictionRecord | null>;
  /** The prediction once it has ended, or as it is after `ms`. */
  awaitPrediction(id: string, ms: number): Promise<PredictionRecord | null>;
  cancelPrediction(id: string): Promise<PredictionRecord | null>;
  listPredictions(query: PredictionQuery): Promise<PredictionRecord[]>;
  /** False: the account has too many files. */
  addFile(record: FileRecord): Promise<boolean>;
  getFile(id: string): Promise<FileRecord | null>;
  listFiles(): Promise<FileRecord[]>;
  removeFile(id: string): Promise<FileRecord | null>;
  /** False: the account has too many deployments. */
  putDeployment(record: DeploymentRecord): Promise<boolean>;
  getDeployment(name: string): Promise<DeploymentRecord | null>;
  listDeployments(): Promise<DeploymentRecord[]>;
  removeDeployment(name: string): Promise<boolean>;
  /** `whsec_…`; the first one is what is signed with now. */
  webhookSecrets(): Promise<string[]>;
  rotateWebhookSecret(): Promise<string[]>;
}

export interface AccountNamespace {
  getByName(name: string): AccountStub;
}

export const STREAM_QUERY = { id: 'id', token: 'token', from: 'from' } as const;

/** Name of an account's object: says nothing of the account, so that it may stand in URLs that are passed around. */
export async function accountName(account: string): Promise<string> {
  return encodeHex((await sha256(`pixart-edge/account/1\0${account}`)).subarray(0, 16));
}

/** Name of a file's bytes in the bucket. */
export function fileName(owner: string, id: string): string {
  return `file/${owner}/${id}`;
}

/** The same members on objects with a prototype: those without one cannot be handed to an object of the runtime. */
export function toPlainObject(object: object): Record<string, unknown> {
  return JSON.parse(JSON.stringify(object)) as Record<string, unknown>;
}
