/** Where a picture can be had: under its digest, and with a signature where it is private. */
import { SIGNED_URL_TTL_SECONDS_MAX } from '#shared/limits.ts';
import type { ImageFormat } from '#shared/schemas/fields.ts';
import { FILE_EXTENSIONS } from '#shared/schemas/image.ts';
import { signUrl } from '#shared/signed-url.ts';
import type { Config } from './config.ts';
import type { PictureAddress } from './picture-address.ts';

export interface PictureUrlOptions {
  readonly config: Pick<Config, 'publicOrigin' | 'urlSigningKeys'>;
  /** URL of the request, for its origin. */
  readonly requestUrl: string;
  readonly nowMs: number;
}

/** Path of a picture that needs no signature. */
export function picturePath(picture: PictureAddress & { readonly format: ImageFormat }): string {
  return `/i/${picture.digest}.${FILE_EXTENSIONS[picture.format]}`;
}

/** Absolute URL; that of a private picture is good for an hour, and undefined where nothing can be signed. */
export async function pictureUrl(
  picture: PictureAddress & { readonly format: ImageFormat },
  { config, requestUrl, nowMs }: PictureUrlOptions,
): Promise<string | undefined> {
  const origin = config.publicOrigin ?? new URL(requestUrl).origin;
  const url = origin + picturePath(picture);
  if (picture.owner === undefined) return url;
  const [key] = config.urlSigningKeys;
  if (key === undefined) return undefined;
  const expires = Math.floor(nowMs / 1000) + SIGNED_URL_TTL_SECONDS_MAX;
  return signUrl(url, { key, expires, scope: picture.owner });
}
