/** `/v1/files…`: what callers upload to be drawn from. Kept for a day. */
import type { Context, Handler } from 'hono';
import { ServiceError } from '#shared/errors.ts';
import { equalBytes, sha256Hex } from '#shared/hex.ts';
import { decodeUtf8, parseJsonObject } from '#shared/json.ts';
import { INPUT_PICTURE_BYTES_MAX } from '#shared/limits.ts';
import type { FileObject } from '#shared/schemas/replicate.ts';
import { accountOf } from '../../account-of.ts';
import { accountName, type FileRecord, fileName, toPlainObject } from '../../account-protocol.ts';
import type { AppEnv, Deps } from '../../app-env.ts';
import { IDENTIFIER_PATTERN, newIdentifier } from '../../identifier.ts';
import { toIso } from '../../prediction-object.ts';
import { readBytes } from '../../read-body.ts';
import { hmacBase64 } from '../../webhook-signature.ts';
import { publicOrigin } from '../public-origin.ts';

const TTL_MS = 86_400_000;
const METADATA_BYTES_MAX = 8192;
const NAME_LENGTH_MAX = 255;
/** `type/subtype` and nothing after it; anything else is bytes. */
const CONTENT_TYPE_PATTERN = /^[a-z]{1,32}\/[a-z0-9.+-]{1,64}$/;

/** Multipart with the part `content`, and `metadata` as JSON. */
export function createFile(deps: Deps): Handler<AppEnv> {
  return async (c) => {
    const form = await readForm(c, deps);
    const content = form.get('content');
    if (!(content instanceof Blob)) {
      throw new ServiceError('missing_parameter', {
        param: 'content',
        detail: 'content is required: a part with a file name.',
      });
    }
    if (content.size > INPUT_PICTURE_BYTES_MAX) {
      throw new ServiceError('payload_too_large', {
        param: 'content',
        detail: `A file may have ${INPUT_PICTURE_BYTES_MAX} bytes, not ${content.size}.`,
      });
    }
    const metadata = await readMetadata(form.get('metadata'));
    const bytes = new Uint8Array(await content.arrayBuffer());
    const { owner, account } = await accountOf(c, deps);
    const createdMs = deps.now();
    const type = content.type.toLowerCase();
    const record: FileRecord = {
      id: newIdentifier(),
      name: nameOf(content),
      contentType: CONTENT_TYPE_PATTERN.test(type) ? type : 'application/octet-stream',
      size: bytes.length,
      sha256: await sha256Hex(bytes),
      metadata,
      createdMs,
      expiresMs: createdMs + TTL_MS,
    };
    // The bytes first, so that a record never leads nowhere.
    await deps.files.put(fileName(owner, record.id), bytes, {
      sha256: record.sha256,
      httpMetadata: { contentType: record.contentType },
    });
    if (!(await account.addFile(record))) {
      await deps.files.delete(fileName(owner, record.id));
      throw new ServiceError('quota_exhausted', {
        detail: 'The account has too many files; delete some, or wait until they expire.',
      });
    }
    return c.json(toFile(c, deps, record), 201);
  };
}

export function listFiles(deps: Deps): Handler<AppEnv> {
  return async (c) => {
    const { account } = await accountOf(c, deps);
    const records = await account.listFiles();
    const results = records.map((record) => toFile(c, deps, record));
    return c.json({ previous: null, next: null, results }, 200, { 'Cache-Control': 'no-store' });
  };
}

export function getFile(deps: Deps): Handler<AppEnv> {
  return async (c) => {
    const { account } = await accountOf(c, deps);
    const record = await account.getFile(idOf(c));
    if (record === null) throw notFound();
    return c.json(toFile(c, deps, record), 200, { 'Cache-Control': 'no-store' });
  };
}

export function deleteFile(deps: Deps): Handler<AppEnv> {
  return async (c) => {
    const id = idOf(c);
    const { owner, account } = await accountOf(c, deps);
    if ((await account.removeFile(id)) === null) throw notFound();
    await deps.files.delete(fileName(owner, id));
    return c.body(null, 204);
  };
}

/**
 * `GET /v1/files/{id}/download?owner=…&expiry=…&signature=…`: the bytes, for whoever has a signature of the account: HMAC-SHA-256 of
 * `{owner} {id} {expiry}` with the secret of its webhooks.
 */
export function downloadFile(deps: Deps): Handler<AppEnv> {
  return async (c) => {
    const id = idOf(c);
    const { owner: username = '', expiry = '', signature = '' } = c.req.query();
    const owner = await accountName(username);
    const account = deps.accounts.getByName(owner);
    const record = await account.getFile(id);
    const secrets = record === null ? [] : await account.webhookSecrets();
    const expected = await Promise.all(
      secrets.map((secret) => hmacBase64(secret, `${username} ${id} ${expiry}`)),
    );
    const encoder = new TextEncoder();
    const isSigned = expected.some((text) =>
      equalBytes(encoder.encode(text), encoder.encode(signature)),
    );
    if (record === null || !isSigned) throw new ServiceError('invalid_signature');
    if (!/^\d{1,12}$/.test(expiry) || Number(expiry) * 1000 < deps.now()) {
      throw new ServiceError('token_expired', { detail: 'The signature has expired.' });
    }
    const object = await deps.files.get(fileName(owner, id));
    if (object === null) throw notFound();
    return new Response(object.body, {
      headers: {
        'Content-Type': record.contentType,
        'Content-Length': String(record.size),
        'Content-Disposition': 'attachment',
        'Content-Security-Policy': "default-src 'none'; sandbox",
        'Cache-Control': 'private, no-store',
        ETag: `"${record.sha256}"`,
      },
    });
  };
}

/** The form, read within the bounds of the route. */
async function readForm(c: Context<AppEnv>, { config }: Deps): Promise<FormData> {
  const type = c.req.header('Content-Type') ?? '';
  if (!/^multipart\/form-data\s*;/i.test(type)) {
    throw new ServiceError('unsupported_media_type', {
      detail: 'Send the file as multipart/form-data.',
    });
  }
  const bytes = await readBytes(c.req.raw, {
    bytesMax: c.var.route?.bodyBytesMax ?? 0,
    deadlineMs: config.bodyDeadlineMs,
  });
  try {
    return await new Response(bytes, { headers: { 'Content-Type': type } }).formData();
  } catch (cause) {
    throw new ServiceError('invalid_parameter', {
      param: 'content',
      detail: 'The body is not multipart/form-data.',
      cause,
    });
  }
}

async function readMetadata(part: File | string | null): Promise<Record<string, unknown>> {
  if (part === null) return {};
  const bytes =
    typeof part === 'string'
      ? new TextEncoder().encode(part)
      : new Uint8Array(await (part as Blob).arrayBuffer());
  if (bytes.length > METADATA_BYTES_MAX) {
    throw new ServiceError('invalid_parameter', {
      param: 'metadata',
      detail: `metadata may have ${METADATA_BYTES_MAX} bytes, not ${bytes.length}.`,
    });
  }
  return toPlainObject(parseJsonObject(decodeUtf8(bytes)));
}

function nameOf(content: Blob): string {
  const name = content instanceof File ? content.name : '';
  return name.slice(0, NAME_LENGTH_MAX).toWellFormed();
}

function toFile(c: Context<AppEnv>, deps: Deps, record: FileRecord): FileObject {
  const { id, name, contentType, size, sha256, metadata, createdMs, expiresMs } = record;
  return {
    id,
    name,
    content_type: contentType,
    size,
    etag: sha256,
    checksums: { sha256 },
    metadata: { ...metadata },
    created_at: toIso(createdMs),
    expires_at: toIso(expiresMs),
    urls: { get: `${publicOrigin(c, deps)}/v1/files/${id}` },
  };
}

function idOf(c: Context<AppEnv>): string {
  const id = c.req.param('id') ?? '';
  if (!IDENTIFIER_PATTERN.test(id)) throw notFound();
  return id;
}

function notFound(): ServiceError {
  return new ServiceError('not_found', { detail: 'There is no such file.' });
}
