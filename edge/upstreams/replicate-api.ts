/**
 * Replicate's API through its own client, one network attempt for each call.
 *
 * The client repeats failed calls up to five times without a pause, creations too, and knows no deadline. So every call gets
 * a client of its own whose `fetch` goes out once, gives the first outcome again whenever it is asked, and reports a refusal
 * past the client's back.
 */
import Replicate from 'replicate';
import * as z from 'zod';
import { ServiceError } from '#shared/errors.ts';
import { readBounded } from './read-bounded.ts';
import type { Watch } from './watch.ts';

export interface ReplicateApiOptions {
  readonly baseUrl: string;
  readonly token: string;
  readonly fetch: (request: Request) => Promise<Response>;
}

/** States of a prediction. `aborted` is one that the client does not know: it would poll it for ever. */
export const HOSTED_STATUSES = [
  'starting',
  'processing',
  'succeeded',
  'failed',
  'canceled',
  'aborted',
] as const;

/** What is read of a prediction; the rest of it is nothing to us. */
export const hostedPrediction = z.looseObject({
  id: z.string().regex(/^[a-z0-9]{1,64}$/),
  status: z.enum(HOSTED_STATUSES),
  input: z.record(z.string(), z.unknown()).nullish(),
  output: z.unknown(),
  error: z.unknown(),
  webhook: z.string().nullish(),
  created_at: z.string().nullish(),
  metrics: z.looseObject({ predict_time: z.number().optional() }).nullish(),
});
export type HostedPrediction = z.infer<typeof hostedPrediction>;

const hostedList = z.looseObject({ results: z.array(z.unknown()).max(1000) });

export interface CreateOptions {
  /** `owner/name` or `owner/name:version`. */
  readonly model: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly webhook: string | undefined;
  /** After this long Replicate ends it by itself, should we be lost. */
  readonly cancelAfterSeconds: number;
}

/** An answer that is not 2xx. */
export class ReplicateRefusal extends Error {
  override readonly name = 'ReplicateRefusal';
  readonly status: number;
  readonly headers: Headers;
  /** Start of the body. */
  readonly text: string;

  constructor({ status, headers }: Response, text: string) {
    super(`Replicate answered ${status}`);
    this.status = status;
    this.headers = headers;
    this.text = text;
  }
}

const REFUSAL_BYTES_MAX = 4096;

export class ReplicateApi {
  readonly #options: ReplicateApiOptions;

  constructor(options: ReplicateApiOptions) {
    this.#options = options;
  }

  /**
   * @throws {ReplicateRefusal} when it was not created
   * @throws {ServiceError} when the answer is lost or useless: it may have been created
   */
  async create(options: CreateOptions, watch: Watch): Promise<HostedPrediction> {
    const { model, input, webhook, cancelAfterSeconds } = options;
    const [name = '', version] = model.split(':', 2);
    const data = {
      ...(version !== undefined && { version }),
      input,
      ...(webhook !== undefined && { webhook, webhook_events_filter: ['start', 'completed'] }),
    };
    const route = version === undefined ? `/models/${name}/predictions` : '/predictions';
    const headers = { 'Cancel-After': `${cancelAfterSeconds}s` };
    // `predictions.create()` would look for files in the input first: with data URIs it sends the client itself instead of
    // the input, and otherwise it needs Node's Buffer.
    const create = async (client: Replicate) => {
      const response = await client.request(route, { method: 'POST', headers, data });
      return response.json();
    };
    return parse(await this.#call(create, watch));
  }

  async get(id: string, watch: Watch): Promise<HostedPrediction> {
    return parse(await this.#call((client) => client.predictions.get(id), watch));
  }

  /** The newest ones. */
  async list(watch: Watch): Promise<HostedPrediction[]> {
    const page = await this.#call((client) => client.predictions.list(), watch);
    const parsed = hostedList.safeParse(page);
    if (!parsed.success) throw useless(parsed.error);
    return parsed.data.results.flatMap((item) => hostedPrediction.safeParse(item).data ?? []);
  }

  async cancel(id: string, watch: Watch): Promise<void> {
    await this.#call((client) => client.predictions.cancel(id), watch);
  }

  /** One call by a client of its own, within its watch. */
  async #call(call: (client: Replicate) => Promise<unknown>, watch: Watch): Promise<unknown> {
    const { baseUrl, token, fetch } = this.#options;
    const refused = Promise.withResolvers<{ readonly error: ReplicateRefusal }>();
    const attempt = async (request: Request): Promise<Response> => {
      const response = await fetch(request);
      watch.touch();
      if (response.ok) return response;
      const { bytes } = await readBounded(response, { watch, bytesMax: REFUSAL_BYTES_MAX });
      const text = new TextDecoder().decode(bytes);
      refused.resolve({ error: new ReplicateRefusal(response, text) });
      return new Response(null, { status: response.status });
    };
    let outcome: Promise<Response> | undefined;
    const client = new Replicate({
      auth: token,
      baseUrl,
      useFileOutput: false,
      fetch: (url, init) => {
        outcome ??= attempt(
          new Request(url, { ...init, signal: watch.signal, redirect: 'manual' }),
        );
        return outcome;
      },
    });
    const settled = await watch.guard(
      Promise.race([
        refused.promise,
        call(client).then(
          (value) => ({ value }),
          (error: unknown) => ({ error }),
        ),
      ]),
    );
    if ('value' in settled) return settled.value;
    const { error } = settled;
    if (error instanceof ReplicateRefusal) throw error;
    watch.throwIfStopped();
    if (error instanceof SyntaxError) throw useless(error);
    throw new ServiceError('upstream_lost', {
      message: 'the connection to Replicate failed',
      retryAfterMs: 1000,
      cause: error,
    });
  }
}

function parse(body: unknown): HostedPrediction {
  const parsed = hostedPrediction.safeParse(body);
  if (!parsed.success) throw useless(parsed.error);
  return parsed.data;
}

function useless(cause: unknown): ServiceError {
  return new ServiceError('upstream_invalid_response', {
    message: 'Replicate answered with something that is no prediction',
    cause,
  });
}
