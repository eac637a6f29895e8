/** The two calls that the page makes, and what can go wrong with them in words for people. */
import { readEvents } from './event-stream.js';

/** The server sends a sign of life each second while it works. */
const SILENCE_MS_MAX = 15_000;

/** A call that failed. `message` is for the person in front of the page. */
export class ApiError extends Error {
  /** @param {{title: string, message: string, status?: number, code?: string, param?: string, requestId?: string, retryable?: boolean}} fields */
  constructor({
    title,
    message,
    status = 0,
    code = '',
    param = '',
    requestId = '',
    retryable = false,
  }) {
    super(message);
    this.name = 'ApiError';
    Object.assign(this, { title, status, code, param, requestId, retryable });
  }
}

/**
 * @param {string} key empty: asks without one
 * @returns {Promise<object>} the default model, as `GET /v1/models` describes it
 */
export async function fetchModel(key) {
  const response = await send('/v1/models', { headers: credentials(key) });
  const { data } = await response.json();
  if (!Array.isArray(data) || data.length === 0) {
    throw new ApiError({ title: 'No model', message: 'This server has no model to draw with.' });
  }
  return data[0];
}

/**
 * Draws one picture.
 *
 * @param {object} request body of `POST /v1/images/generations`
 * @param {{key: string, signal: AbortSignal, onPreview: (event: object) => void}} options
 * @returns {Promise<object>} the `completed` event
 */
export async function draw(request, { key, signal, onPreview }) {
  const silence = new AbortController();
  let timer;
  const rewind = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), SILENCE_MS_MAX);
  };
  rewind();
  try {
    const response = await send('/v1/images/generations', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...credentials(key) },
      body: JSON.stringify({ ...request, stream: true, partial_images: 3 }),
      signal: AbortSignal.any([signal, silence.signal]),
    });
    const requestId = response.headers.get('x-request-id') ?? '';
    for await (const data of readEvents(response.body, rewind)) {
      if (data === '[DONE]') break;
      const event = JSON.parse(data);
      if (event.type === 'image_generation.partial_image') onPreview(event);
      else if (event.type === 'image_generation.completed') return event;
      else if (event.type === 'error') throw fromBody(event, { status: 0, requestId });
    }
    throw lost('The stream ended before the picture was there.', requestId);
  } catch (error) {
    if (signal.aborted || error instanceof ApiError) throw error;
    if (silence.signal.aborted) throw lost('The server has gone silent.');
    throw lost('The connection broke in the middle of the picture.');
  } finally {
    clearTimeout(timer);
  }
}

function credentials(key) {
  return key === '' ? {} : { Authorization: `Bearer ${key}` };
}

async function send(path, init) {
  let response;
  try {
    // No `cache: 'no-store'`: browsers add `Cache-Control: no-cache` to it, which asks for another picture.
    response = await fetch(path, init);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw lost('The server does not answer. Is it still running?');
  }
  if (response.ok) return response;
  const about = {
    status: response.status,
    requestId: response.headers.get('x-request-id') ?? '',
    retryAfterSeconds: Number(response.headers.get('retry-after')) || 0,
  };
  let body;
  try {
    body = await response.json();
  } catch {
    // Something between us and the server answered.
    body = {};
  }
  throw fromBody(body, about);
}

const TITLES = {
  missing_credentials: 'A key is needed',
  invalid_credentials: 'This key is not valid',
  scope_denied: 'This key may not draw',
  rate_limited: 'Too many at once',
  too_many_streams: 'Too many at once',
  quota_exhausted: 'The quota is used up',
  overloaded: 'The server is busy',
  circuit_open: 'The server is busy',
  model_unavailable: 'The model is still loading',
  upstream_lost: 'The picture was lost on its way',
  upstream_truncated: 'The picture was lost on its way',
  upstream_stalled: 'That took too long',
  deadline_exceeded: 'That took too long',
  prompt_too_long: 'The prompt is too long',
  prompt_empty: 'The prompt is empty',
};

/** An error in OpenAI's shape, with our code beside it. */
function fromBody(body, { status, requestId, retryAfterSeconds = 0 }) {
  const { error = {} } = body;
  // Our code stands beside OpenAI's members: at the top of a body, as `reason` in an event of a stream.
  const code = body.code ?? error.reason ?? error.code ?? '';
  const isRefusal = status >= 400 && status < 500 && status !== 429;
  const wait = retryAfterSeconds > 0 ? ` Try again in ${retryAfterSeconds} s.` : '';
  const said = error.message ?? body.detail ?? `The server answered with status ${status}.`;
  return new ApiError({
    title: TITLES[code] ?? (isRefusal ? 'That cannot be drawn' : 'No picture this time'),
    message: /try again/i.test(said) ? said : said + wait,
    status: status || body.status || 0,
    code,
    param: error.param ?? '',
    requestId: body.request_id ?? error.request_id ?? requestId,
    retryable: body.retryable ?? error.retryable ?? !isRefusal,
  });
}

function lost(message, requestId = '') {
  return new ApiError({ title: 'Connection lost', message, requestId, retryable: true });
}
