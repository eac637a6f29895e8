/**
 * `GET|HEAD /prompt/{text}`: the picture of a prompt, drawn when it is asked for the first time. For `<img src>`.
 *
 * What is drawn this way is public, and its address says everything: equal URLs, equal pictures. No header of the request makes
 * anyone work.
 */
import type { Handler } from 'hono';
import { decodeBase64 } from '#shared/base64.ts';
import { ServiceError } from '#shared/errors.ts';
import { HEADERS } from '#shared/headers.ts';
import { generateRequest } from '#shared/schemas/generate.ts';
import { answerPicture } from '../answer-picture.ts';
import type { AppEnv } from '../app-env.ts';
import { cacheStatus } from '../cache-status.ts';
import { parseCacheWish } from '../cache-wish.ts';
import { type Drawings, drawAll, drawingFields, mergeWarnings } from '../drawing.ts';
import type { Timings } from '../job-protocol.ts';
import { parseRequest } from '../parse-request.ts';
import { picturePath } from '../picture-url.ts';
import { rawPath } from '../request-path.ts';

const CACHE_CONTROL = 'public, max-age=86400, stale-while-revalidate=604800';

export function promptImages(drawings: Drawings): Handler<AppEnv> {
  return async (c) => {
    const { caller, times, requestId, traceparent } = c.var;
    const url = new URL(c.req.url);
    const text = decodeText(rawPath(c.req.url).slice('/prompt/'.length));
    const body = toBody(text, url.searchParams);
    const plan = drawings.plan(parseRequest(generateRequest, body), { caller, unknownNames: [] });
    const { onlyIfCached } = parseCacheWish(c.req.header('Cache-Control'));
    const drawing = await drawings.prepare(plan, {
      caller,
      wish: { reload: false, noStore: false, onlyIfCached },
      unknownNames: [],
      isNewEachTime: false,
      resumable: false,
      wantsBytes: true,
      previews: 0,
      requestId,
      traceparent,
      waitUntil: (work) => c.executionCtx.waitUntil(work),
      onBudget: (view) => c.set('generations', view),
      onLookUp: (work) => times.measure('cache', work),
    });
    const { signal } = c.req.raw;
    const leave = () => drawing.controller.abort(new Error('the caller has left'));
    if (signal.aborted) leave();
    else signal.addEventListener('abort', leave);
    try {
      const [picture] = await drawAll(drawing);
      const { entry, outcome, base64, timings } = picture!;
      for (const [stage, ms] of Object.entries(timings)) times.set(stage as keyof Timings, ms);
      c.set('logFields', drawingFields(drawing, [outcome]));
      const warnings = [...new Set(mergeWarnings(plan, [picture!]).map(({ code }) => code))];
      const image = { ...entry, bytes: decodeBase64(base64), sha256: entry.digest };
      return answerPicture(image, c.req.raw, {
        cacheControl: CACHE_CONTROL,
        etag: `"${entry.digest}"`,
        headers: {
          'Content-Location': picturePath(entry),
          [HEADERS.cacheStatus]: cacheStatus([outcome], drawing.planned[0]!.cacheKey),
          ...(warnings.length > 0 && { [HEADERS.warning]: warnings.join(', ') }),
        },
      });
    } finally {
      signal.removeEventListener('abort', leave);
    }
  };
}

function decodeText(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    const detail = 'The prompt in the path is not percent-encoded UTF-8.';
    throw new ServiceError('invalid_path', { detail, cause });
  }
}

/** Query → members of a generation request. Names that are not listed are ignored. */
const NUMBERS = ['seed', 'width', 'height', 'steps', 'guidance_scale'] as const;
const TEXTS = ['model', 'negative_prompt'] as const;
/** Names of this kind of API that would change the picture and cannot be had. */
const REFUSED = ['image', 'private'] as const;

function toBody(prompt: string, query: URLSearchParams): Record<string, never> {
  const body: Record<string, unknown> = { prompt, visibility: 'public' };
  for (const name of TEXTS) {
    const text = readOnce(query, name);
    if (text !== undefined) body[name] = text;
  }
  for (const name of NUMBERS) {
    const text = readOnce(query, name);
    if (text !== undefined) body[name] = readNumber(name, text);
  }
  for (const name of REFUSED) {
    const text = readOnce(query, name);
    if (text === undefined || text === 'false' || text === '') continue;
    throw invalid(name, 'cannot be had under /prompt/');
  }
  const format = readOnce(query, 'fm');
  if (format !== undefined && !['png', 'jpeg', 'jpg', 'webp'].includes(format)) {
    throw invalid('fm', 'must be one of png, jpeg, webp');
  }
  const quality = readOnce(query, 'q');
  if (quality !== undefined) {
    if (!/^(?:[1-9]\d?|100)$/.test(quality)) throw invalid('q', 'must be an integer from 1 to 100');
    // A png has no quality to choose.
    if (format !== undefined && format !== 'png') body.output_compression = Number(quality);
  }
  if (format !== undefined) body.output_format = format;
  return body as Record<string, never>;
}

function readOnce(query: URLSearchParams, name: string): string | undefined {
  const values = query.getAll(name);
  if (values.length > 1) throw invalid(name, 'must not come twice');
  return values[0];
}

function readNumber(name: string, text: string): number {
  if (!/^(?:0|[1-9]\d{0,9})(?:\.\d{1,4})?$/.test(text)) throw invalid(name, 'must be a number');
  return Number(text);
}

function invalid(name: string, rule: string): ServiceError {
  return new ServiceError('invalid_query', { detail: `${name} ${rule}.`, param: name });
}
