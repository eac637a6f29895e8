/** A picture file with what is known of it, and how the bucket keeps that beside the bytes. */
import { sha256Hex } from '#shared/hex.ts';
import type { ImageFormat } from '#shared/schemas/fields.ts';
import { formatOf } from './media-types.ts';
import type { PictureAddress } from './picture-address.ts';

export interface StoredImage extends PictureAddress {
  readonly format: ImageFormat;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** When the picture was drawn, Unix milliseconds; that of a variant is its original's. */
  readonly createdMs: number;
  /** When this file was stored. */
  readonly storedMs: number;
  /** SHA-256 of `bytes`: the digest, or for a variant its own. */
  readonly sha256: string;
}

interface Metadata {
  readonly createdMs: number;
  readonly sha256: string;
}

type StoredObject = Pick<R2Object, 'customMetadata'>;

export function toMetadata({ createdMs, sha256 }: Metadata): Record<string, string> {
  return { created: String(createdMs), sha256 };
}

/** What is left in place of a deleted picture. */
export const DELETED_MARK: Readonly<Record<string, string>> = { deleted: 'yes' };

export function isDeletedMark(object: StoredObject | null): boolean {
  return object?.customMetadata?.deleted !== undefined;
}

/** The picture of an object, or undefined when its bytes are not those that were stored. */
export async function fromStored(
  object: R2ObjectBody,
  address: PictureAddress,
): Promise<StoredImage | undefined> {
  const bytes = new Uint8Array(await object.arrayBuffer());
  const format = formatOf(object.httpMetadata?.contentType);
  const sha256 = await sha256Hex(bytes);
  if (format === undefined || sha256 !== (object.customMetadata?.sha256 ?? address.digest)) {
    return undefined;
  }
  const storedMs = object.uploaded.getTime();
  const createdMs = Number(object.customMetadata?.created ?? storedMs);
  return { ...address, format, bytes, createdMs, storedMs, sha256 };
}
