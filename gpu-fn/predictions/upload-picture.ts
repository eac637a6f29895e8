/** Finished pictures PUT to a store, where the function was started with `UPLOAD_URL`, as Cog does. */
import { ServiceError } from '#shared/errors.ts';
import type { StorePicture } from './prediction-service.ts';

const UPLOAD_DEADLINE_MS = 25_000;

/** @param uploadUrl  prefix; the file's name is added below it */
export function createUploader({
  uploadUrl,
  fetch: send = fetch,
}: {
  uploadUrl: string;
  fetch?: typeof fetch;
}): StorePicture {
  const prefix = uploadUrl.endsWith('/') ? uploadUrl : `${uploadUrl}/`;
  return async ({ bytes, mimeType, sha256 }, { signal }) => {
    const name = `${sha256.slice(0, 32)}.${mimeType.replace('image/', '')}`;
    const target = new URL(name, prefix);
    try {
      const response = await send(target, {
        method: 'PUT',
        headers: { 'Content-Type': mimeType },
        body: new Blob([new Uint8Array(bytes)], { type: mimeType }),
        signal: AbortSignal.any([signal, AbortSignal.timeout(UPLOAD_DEADLINE_MS)]),
      });
      await response.body?.cancel();
      if (!response.ok) throw new Error(`the store answered ${response.status}`);
      const stored = new URL(response.headers.get('Location') ?? target, target);
      stored.search = '';
      return stored.href;
    } catch (cause) {
      signal.throwIfAborted();
      throw new ServiceError('internal_error', {
        detail: 'The picture could not be uploaded.',
        message: `upload to ${target.origin} failed`,
        cause,
      });
    }
  };
}
