/**
 * The life of an inference worker: load the pipeline, then one job after another until told to close.
 *
 * Knows the pipeline and the message port; nothing about HTTP, queues or deadlines.
 */
import { createHash } from 'node:crypto';
import type { ModelInfo } from '#shared/schemas/model.ts';
import type { MetadataPolicy } from '#shared/schemas/prediction-input.ts';
import { describeParameters } from '../image/describe-parameters.ts';
import type {
  GenerateOptions,
  GenerateResult,
  ImageFormat,
  Pixels,
  RunOptions,
  StepEvent,
} from '../pipeline/components.ts';
import { decodeControl } from './decode-control.ts';
import { decodeEdit } from './decode-edit.ts';
import { describeFailure, describeSetupFailure } from './describe-failure.ts';
import type { InferenceJob, JobResult, JobWarning, StageTimings } from './engine.ts';
import type { FromWorker, ToWorker } from './protocol.ts';
import { toGenerateOptions } from './to-generate-options.ts';

/** What a worker uses of the pipeline; tests bring their own. */
export interface ServedPipeline {
  readonly info: ModelInfo;
  generate(
    options: GenerateOptions,
    run: RunOptions,
  ): Promise<GenerateResult & { readonly promptTokens?: number }>;
  /** Releases the sessions. */
  dispose(): Promise<void>;
}

export interface EncodeOptions {
  readonly format: ImageFormat;
  /** 1–100; PNG ignores it */
  readonly quality: number;
  readonly info: ModelInfo;
  /** default `minimal` */
  readonly metadata?: MetadataPolicy;
  /** what the picture was made from, in words; written with `full` only */
  readonly parameters?: string;
}

export interface ServeJobsDeps {
  readonly port: WorkerPort;
  /** Folder of the model, for messages. */
  readonly bundle: string;
  readonly loadPipeline: () => Promise<ServedPipeline>;
  readonly encodeImage: (image: Pixels, options: EncodeOptions) => Promise<Uint8Array>;
  /** monotonic milliseconds */
  readonly now?: () => number;
}

/** The part of `MessagePort` that is used here. */
export interface WorkerPort {
  on(event: 'message', listener: (message: ToWorker) => void): unknown;
  postMessage(message: FromWorker, transfer?: readonly ArrayBuffer[]): void;
  close(): void;
}

/** Larger previews are not sent: they are a courtesy, and the event history holds them. */
const PREVIEW_BYTES_MAX = 16 * 1024;
const PREVIEW_QUALITY = 70;

interface CurrentJob {
  readonly jobId: number;
  readonly controller: AbortController;
  readonly ended: Promise<void>;
}

export async function serveJobs({
  port,
  bundle,
  loadPipeline,
  encodeImage,
  now = () => performance.now(),
}: ServeJobsDeps): Promise<void> {
  const startedAt = now();
  let pipeline: ServedPipeline;
  try {
    pipeline = await loadPipeline();
  } catch (error) {
    const { detail, stack } = describeSetupFailure(error, bundle);
    port.postMessage({ type: 'setup_failed', detail, stack });
    port.close();
    return;
  }

  let current: CurrentJob | undefined;
  const start = async ({ jobId, job, cancelFlag }: ToWorker & { type: 'run' }) => {
    const controller = new AbortController();
    const ended = Promise.withResolvers<void>();
    current = { jobId, controller, ended: ended.promise };
    const send = (message: FromWorker, transfer?: readonly ArrayBuffer[]) =>
      port.postMessage(message, transfer);
    try {
      const result = await runJob(job, {
        pipeline,
        encodeImage,
        now,
        signal: controller.signal,
        stopIfCanceled: () => {
          if (Atomics.load(cancelFlag, 0) !== 0) controller.abort();
        },
        emit: (event, transfer) => send({ type: 'event', jobId, event }, transfer),
      });
      send({ type: 'done', jobId, result });
    } catch (error) {
      if (controller.signal.aborted) send({ type: 'canceled', jobId });
      else send({ type: 'failed', jobId, ...describeFailure(error) });
    } finally {
      current = undefined;
      ended.resolve();
    }
  };
  const close = async () => {
    current?.controller.abort();
    // Sessions may not be released under a run.
    await current?.ended;
    await pipeline.dispose();
    port.close();
  };

  port.on('message', (message) => {
    switch (message.type) {
      case 'run':
        void start(message);
        break;
      case 'cancel':
        if (current?.jobId === message.jobId) current.controller.abort();
        break;
      case 'close':
        void close();
        break;
      default:
        message satisfies never;
    }
  });
  port.postMessage({ type: 'ready', info: pipeline.info, loadMs: now() - startedAt });
}

interface RunJobDeps {
  readonly pipeline: ServedPipeline;
  readonly encodeImage: ServeJobsDeps['encodeImage'];
  readonly now: () => number;
  readonly signal: AbortSignal;
  readonly stopIfCanceled: () => void;
  readonly emit: (
    event: (FromWorker & { type: 'event' })['event'],
    transfer?: readonly ArrayBuffer[],
  ) => void;
}

/** Draws the pictures of one job in order; picture i has seed (seed + i) mod 2³². */
async function runJob(job: InferenceJob, deps: RunJobDeps): Promise<JobResult> {
  const { pipeline, signal, stopIfCanceled, now } = deps;
  const { input } = job;
  let timings: StageTimings = { text_ms: 0, denoise_ms: 0, vae_ms: 0, image_ms: 0 };
  let promptTokens: number | undefined;
  let edges: Pixels | undefined;
  const edit = await decodeEdit(input);
  const warnings = new Map<string, JobWarning>();
  const control = await decodeControl(input);
  for (let pictureIndex = 0; pictureIndex < input.num_outputs; pictureIndex += 1) {
    stopIfCanceled();
    signal.throwIfAborted();
    const options = {
      ...toGenerateOptions(input, pictureIndex, edit),
      ...(control && { control }),
    };
    let previews: Promise<void> = Promise.resolve();
    const generated = await pipeline.generate(options, {
      signal,
      onStep: (step) => {
        stopIfCanceled();
        const { stepIndex, stepCount } = step;
        deps.emit({ type: 'step', pictureIndex, stepIndex, stepCount });
        // A run that starts from a picture takes fewer steps than were asked for.
        const wanted = previewSteps({ stepCount, count: job.previewCount });
        if (wanted.has(stepIndex)) previews = emitPreview(step, pictureIndex, deps, previews);
      },
    });
    stopIfCanceled();
    signal.throwIfAborted();
    await previews;
    const encodeStartedAt = now();
    const bytes = await deps.encodeImage(generated.image, {
      format: input.output_format,
      quality: input.output_quality,
      info: pipeline.info,
      metadata: input.metadata,
      ...(input.metadata === 'full' && { parameters: describeParameters(options) }),
    });
    timings = {
      text_ms: timings.text_ms + generated.timings.text_ms,
      denoise_ms: timings.denoise_ms + generated.timings.denoise_ms,
      vae_ms: timings.vae_ms + generated.timings.vae_ms,
      image_ms: timings.image_ms + generated.timings.image_ms + (now() - encodeStartedAt),
    };
    for (const warning of generated.warnings) {
      warnings.set(`${warning.code} ${warning.message}`, warning);
    }
    promptTokens = generated.promptTokens;
    emitPicture({ bytes, image: generated.image, seed: generated.seed, pictureIndex }, job, deps);
    edges = generated.edges;
  }
  if (input.return_edges && edges !== undefined) {
    // After the pictures, so that they are where they are without it.
    const bytes = await deps.encodeImage(edges, {
      format: input.output_format,
      quality: input.output_quality,
      info: pipeline.info,
    });
    const pictureIndex = input.num_outputs;
    emitPicture({ bytes, image: edges, seed: input.seed, pictureIndex }, job, deps);
  }
  return {
    timings,
    warnings: [...warnings.values()],
    ...(promptTokens !== undefined && { promptTokens }),
  };
}

function emitPicture(
  {
    bytes,
    image: { width, height },
    ...picture
  }: { bytes: Uint8Array; image: Pixels; seed: number; pictureIndex: number },
  { input }: InferenceJob,
  { emit }: RunJobDeps,
): void {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const owned = ownBuffer(bytes);
  const mimeType = `image/${input.output_format}`;
  emit({ type: 'picture', ...picture, mimeType, bytes: owned, sha256, width, height }, [
    owned.buffer,
  ]);
}

/**
 * Encodes a preview beside the denoising and sends it after the one before it; a preview that fails is left out, not an
 * error.
 */
async function emitPreview(
  { preview, stepIndex, stepCount }: StepEvent,
  pictureIndex: number,
  { encodeImage, pipeline, emit }: RunJobDeps,
  previous: Promise<void>,
): Promise<void> {
  if (!preview) return previous;
  try {
    const format = 'webp';
    const options = { format, quality: PREVIEW_QUALITY, info: pipeline.info } as const;
    const encoding = encodeImage(preview(), options);
    // An encoder that fails while this waits is met below.
    encoding.catch(() => undefined);
    await previous;
    const bytes = await encoding;
    if (bytes.byteLength > PREVIEW_BYTES_MAX) return;
    const mimeType = `image/${format}`;
    emit({ type: 'preview', pictureIndex, stepIndex, stepCount, mimeType, bytes });
  } catch {
    // The picture itself is unaffected, and its own errors are reported where it is made.
    await previous;
  }
}

/**
 * Which steps get a preview: all if there are few, else `count` of them, evenly spread before the last
 * (after the last one the picture itself follows).
 */
export function previewSteps({
  stepCount,
  count,
}: {
  stepCount: number;
  count: number;
}): ReadonlySet<number> {
  if (count >= stepCount) return new Set(Array.from({ length: stepCount }, (_, i) => i));
  return new Set(
    Array.from({ length: count }, (_, i) => Math.floor(((i + 1) * stepCount) / (count + 1)) - 1),
  );
}

/** A copy in an `ArrayBuffer` of its own, which may be transferred. */
function ownBuffer(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}
