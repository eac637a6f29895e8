/**
 * Requests that callers give a name, `Idempotency-Key`: run once, joined while they run, answered again afterwards.
 *
 * The name is kept by the object of the API key (`idempotency-log.ts`) with the fingerprint of the body. What comes back later
 * is the answer itself; its pictures are kept by digest only and put in again from the store. Retries of OpenAI's clients,
 * which have a count and no name, are recognised by their body for a while.
 */
import { encodeBase64 } from '#shared/base64.ts';
import { ServiceError } from '#shared/errors.ts';
import { HEADERS, MEDIA_TYPES } from '#shared/headers.ts';
import { sha256Hex } from '#shared/hex.ts';
import { sortedJson } from '#shared/json.ts';
import { HEARTBEAT_MS, IDEMPOTENCY_RESPONSE_BYTES_MAX } from '#shared/limits.ts';
import { encodeSseEvent, SseDecoder } from '#shared/sse.ts';
import type { Caller } from './api-keys.ts';
import { parseIdempotencyKey } from './idempotency-key.ts';
import type { Begun, KeptResponse } from './idempotency-log.ts';
import type { KeyNamespace, KeyObject } from './key-objects.ts';

export interface NamedRequest {
  readonly caller: Caller;
  readonly request: Request;
  /** Path of the request: a name is good for one route. */
  readonly path: string;
  /** The parsed body, or what stands for it. */
  readonly body: unknown;
  /** The answer is a stream of events: whoever joins runs along instead of waiting for its end. */
  readonly isStream: boolean;
  /** False for an answer that must not be kept: its repetition is run again. */
  readonly keeps: boolean;
  /** Something in it is drawn at random, so that a repetition has to be recognised. */
  readonly isRandom: boolean;
  /** How long whoever joins waits at most. */
  readonly deadlineMs: number;
  readonly waitUntil: (work: Promise<unknown>) => void;
}

/** What stays the same in every attempt of one request. */
export interface Pin {
  /** Whether the caller can come back to it. */
  readonly resumable: boolean;
  /** 32 hexadecimal digits that all chance comes out of; undefined where no attempt can follow. */
  readonly salt: string | undefined;
}

type Handle = (pin: Pin) => Promise<Response>;

/** A picture of the store in base64, or undefined. */
export type ReadPicture = (
  digest: string,
  waitUntil: NamedRequest['waitUntil'],
) => Promise<{ readonly bytes: Uint8Array } | undefined>;

const WAIT_MS = 10_000;
const RECORD_BYTES_MAX = 16 * 1024 * 1024;
const DIGEST_PATTERN = /^[0-9a-f]{64}$/;
const KEPT_HEADERS = [
  'Content-Type',
  'Cache-Control',
  'X-Accel-Buffering',
  'Location',
  'Content-Location',
  'Link',
  'Preference-Applied',
  HEADERS.warning,
];

export class Idempotency {
  readonly #keys: KeyNamespace;
  readonly #readPicture: ReadPicture;

  constructor({ keys, readPicture }: { keys: KeyNamespace; readPicture: ReadPicture }) {
    this.#keys = keys;
    this.#readPicture = readPicture;
  }

  /**
   * Runs `handle`, or answers without it.
   *
   * @throws {ServiceError} `invalid_idempotency_key`, `idempotency_mismatch`, `deadline_exceeded`, `auth_unavailable`, or what
   *   `handle` throws
   */
  async run(named: NamedRequest, handle: Handle): Promise<Response> {
    const { caller, request, path } = named;
    const object = this.#keys.getByName(caller.keyId);
    const key = parseIdempotencyKey(request.headers.get(HEADERS.idempotencyKey) ?? undefined);
    const fingerprint = await sha256Hex(sortedJson(named.body));
    const scope = `${request.method} ${path} ${caller.token?.id ?? ''}`;
    if (key === undefined) {
      return handle({
        resumable: false,
        salt: await this.#saltOf(named, object, scope + fingerprint),
      });
    }
    const name = await sha256Hex(`${scope} ${key}`);
    const waitUntilMs = Date.now() + named.deadlineMs;
    for (;;) {
      const begun = await ask(object.beginNamed(name, fingerprint));
      if (begun.state === 'mismatch') {
        throw new ServiceError('idempotency_mismatch', {
          detail: 'This idempotency key was sent with another body; use a new one.',
        });
      }
      const pin = { resumable: true, salt: begun.salt };
      if (begun.state === 'finished') {
        return (await this.#replay(begun, named)) ?? handle(pin);
      }
      if (begun.state === 'new') return this.#lead({ name, object, pin, named, handle });
      if (named.isStream) return handle(pin);
      if (Date.now() >= waitUntilMs) {
        throw new ServiceError('deadline_exceeded', {
          detail: 'The first request with this idempotency key still runs.',
          retryAfterMs: 1000,
        });
      }
      await ask(object.waitForNamed(name, WAIT_MS));
      request.signal.throwIfAborted();
    }
  }

  async #saltOf(
    { request, isRandom }: NamedRequest,
    object: KeyObject,
    fingerprint: string,
  ): Promise<string | undefined> {
    const count = request.headers.get(HEADERS.retryCount);
    if (!isRandom || count === null || !/^\d{1,3}$/.test(count)) return undefined;
    return ask(object.saltOf(fingerprint, { isRetry: Number(count) > 0 }));
  }

  async #lead({
    name,
    object,
    pin,
    named,
    handle,
  }: {
    name: string;
    object: KeyObject;
    pin: Pin;
    named: NamedRequest;
    handle: Handle;
  }): Promise<Response> {
    // A renewal that is lost is made up for by the next.
    const timer = setInterval(
      () => void object.renewNamed(name).catch(() => undefined),
      HEARTBEAT_MS,
    );
    let isOver = false;
    const end = (kept: KeptResponse | undefined) => {
      if (isOver) return;
      isOver = true;
      clearInterval(timer);
      const response = named.keeps ? kept : undefined;
      // Unheard, the name is free after its lease.
      named.waitUntil(object.finishNamed(name, response).catch(() => undefined));
    };
    try {
      const response = await handle(pin);
      const type = response.headers.get('Content-Type') ?? '';
      if (type.startsWith(MEDIA_TYPES.eventStream)) return keepStream(response, end);
      const text = await response.text();
      end(isKept(response.status) ? keep(response, stripJson(text)) : undefined);
      return new Response(text, response);
    } catch (error) {
      end(undefined);
      throw error;
    }
  }

  /** The kept answer with its pictures, or undefined when one of them is gone. */
  async #replay(
    { response }: Extract<Begun, { state: 'finished' }>,
    { waitUntil }: NamedRequest,
  ): Promise<Response | undefined> {
    const read = async (digest: string) => (await this.#readPicture(digest, waitUntil))?.bytes;
    const isStream = (response.headers['Content-Type'] ?? '').startsWith(MEDIA_TYPES.eventStream);
    const body = await (isStream ? fillStream(response.body, read) : fillJson(response.body, read));
    if (body === undefined) return undefined;
    const headers = { ...response.headers, [HEADERS.idempotencyReplayed]: 'true' };
    return new Response(body, { status: response.status, headers });
  }
}

/** A seed out of a salt. */
export function seedOf(salt: string): number {
  return Number.parseInt(salt.slice(0, 8), 16);
}

async function ask<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    throw new ServiceError('auth_unavailable', { retryAfterMs: 1000, cause });
  }
}

function isKept(status: number): boolean {
  return status < 500 && status !== 429;
}

function keep(response: Response, body: string | undefined): KeptResponse | undefined {
  if (body === undefined || body.length > IDEMPOTENCY_RESPONSE_BYTES_MAX) return undefined;
  const headers = KEPT_HEADERS.flatMap((name) => {
    const value = response.headers.get(name);
    return value === null ? [] : [[name, value]];
  });
  return { status: response.status, headers: Object.fromEntries(headers), body };
}

/** The same stream; what passed is kept once it has ended well. */
function keepStream(response: Response, end: (kept: KeptResponse | undefined) => void): Response {
  const reader = (response.body ?? new Blob([]).stream()).getReader();
  const decoder = new SseDecoder({ bytesMax: RECORD_BYTES_MAX });
  let kept = '';
  let isWhole = true;
  const look = (chunk: Uint8Array) => {
    for (const item of decoder.push(chunk)) {
      if (item.kind !== 'event') continue;
      if (item.event === 'error') isWhole = false;
      const data = strip(JSON.parse(item.data));
      // A preview is worth nothing once the picture is there.
      if (data !== undefined)
        kept += encodeSseEvent({ event: item.event, data: JSON.stringify(data) });
      if (kept.length > IDEMPOTENCY_RESPONSE_BYTES_MAX) isWhole = false;
    }
  };
  const stream = new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      try {
        const { done, value } = await reader.read();
        if (!done) {
          look(value);
          controller.enqueue(value);
          return;
        }
        end(isWhole && kept !== '' ? keep(response, kept) : undefined);
        controller.close();
      } catch (error) {
        end(undefined);
        controller.error(error);
      }
    },
    cancel: async (reason) => {
      end(undefined);
      await reader.cancel(reason);
    },
  });
  return new Response(stream, response);
}

function stripJson(text: string): string | undefined {
  const value = strip(JSON.parse(text));
  return value === undefined ? undefined : JSON.stringify(value);
}

/** A value whose pictures are left out; undefined when one of them has no digest to find it by. */
function strip(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = value.map(strip);
    return items.includes(undefined) ? undefined : items;
  }
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).map(([name, member]) => [name, strip(member)] as const);
  if (members.some(([, member]) => member === undefined)) return undefined;
  const object: Record<string, unknown> = Object.fromEntries(members);
  if (typeof object.b64_json !== 'string' || object.b64_json === '') return object;
  const isStored = typeof object.id === 'string' && DIGEST_PATTERN.test(object.id);
  return isStored ? { ...object, b64_json: '' } : undefined;
}

type ReadBytes = (digest: string) => Promise<Uint8Array | undefined>;

async function fillJson(text: string, read: ReadBytes): Promise<string | undefined> {
  const value = await fill(JSON.parse(text), read);
  return value === undefined ? undefined : JSON.stringify(value);
}

async function fillStream(text: string, read: ReadBytes): Promise<string | undefined> {
  const lines = await Promise.all(
    text.split('\n').map(async (line) => {
      if (!line.startsWith('data: ')) return line;
      const filled = await fillJson(line.slice('data: '.length), read);
      return filled === undefined ? undefined : `data: ${filled}`;
    }),
  );
  return lines.includes(undefined) ? undefined : lines.join('\n');
}

/** The reverse of `strip`; undefined when a picture is gone. */
async function fill(value: unknown, read: ReadBytes): Promise<unknown> {
  if (Array.isArray(value)) {
    const items = await Promise.all(value.map((item) => fill(item, read)));
    return items.includes(undefined) ? undefined : items;
  }
  if (typeof value !== 'object' || value === null) return value;
  const members = await Promise.all(
    Object.entries(value).map(async ([name, member]) => [name, await fill(member, read)] as const),
  );
  if (members.some(([, member]) => member === undefined)) return undefined;
  const object: Record<string, unknown> = Object.fromEntries(members);
  if (object.b64_json !== '') return object;
  const bytes = await read(String(object.id));
  return bytes === undefined ? undefined : { ...object, b64_json: encodeBase64(bytes) };
}
