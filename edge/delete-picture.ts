/**
 * Deletes a picture in all layers: bucket, variants, data centre's cache, memory; a mark stays that says so.
 *
 * An account deletes what it had drawn. A file that another account had drawn too stays for that one: the same bytes have one
 * digest. Drawing it again brings it back.
 */
import { ServiceError } from '#shared/errors.ts';
import type { ImageStore } from './image-store.ts';
import { claimPrefix, entryName, originalName, type PictureAddress } from './picture-address.ts';
import { DELETED_MARK, isDeletedMark } from './stored-image.ts';
import type { VariantNamespace } from './variants.ts';

export interface PictureDeleterDeps {
  readonly bucket: R2Bucket;
  readonly images: ImageStore;
  readonly variants: VariantNamespace;
  /** Tells every isolate; false when it cannot be told now. */
  readonly record: (name: string) => Promise<boolean>;
  readonly now: () => number;
}

export interface Deleter {
  readonly account: string;
  /** May delete what others had drawn. */
  readonly isAdmin: boolean;
}

/** @throws {ServiceError} `not_found` when the account has no such picture, `overloaded` when it cannot be deleted now */
export type PictureDeleter = (digest: string, by: Deleter) => Promise<void>;

/** What R2 deletes at once. */
const NAMES_MAX = 1000;
/** A claim and its index entry for each way to have asked for the picture; there are seldom more than a few. */
const CLAIMS_MAX = NAMES_MAX / 2;

export function createPictureDeleter(deps: PictureDeleterDeps): PictureDeleter {
  const { bucket } = deps;
  return async (digest, { account, isAdmin }) => {
    const mine: PictureAddress = { digest, owner: account };
    const own = await bucket.head(originalName(mine));
    const hasOwn = own !== null && !isDeletedMark(own);
    if (hasOwn) await deleteFile(deps, mine, []);

    const prefix = claimPrefix(digest, isAdmin ? undefined : account);
    const { objects: claims } = await bucket.list({ prefix, limit: CLAIMS_MAX });
    if (claims.length === 0 && !hasOwn) {
      throw new ServiceError('not_found', { detail: 'This account has no such picture.' });
    }
    if (claims.length === 0) return;
    const names = claims.map(({ key }) => key);
    const cacheKeys = names.map((name) => name.slice(name.lastIndexOf('/') + 1));
    const all = await bucket.list({ prefix: claimPrefix(digest), limit: claims.length + 1 });
    const isShared = all.objects.length > claims.length;
    if (!isShared || isAdmin) await deleteFile(deps, { digest }, cacheKeys);
    await bucket.delete([...names, ...cacheKeys.map(entryName)]);
  };
}

async function deleteFile(
  { bucket, images, variants, record, now }: PictureDeleterDeps,
  address: PictureAddress,
  cacheKeys: readonly string[],
): Promise<void> {
  const name = originalName(address);
  if (!(await record(name))) {
    throw new ServiceError('overloaded', {
      detail: 'Too many pictures are being deleted. Try again in a minute.',
      retryAfterMs: 60_000,
    });
  }
  await bucket.put(name, '', { customMetadata: { ...DELETED_MARK } });
  const made = await variants.getByName(name).purge();
  await images.drop([name, ...made], { cacheKeys, atMs: now() });
}
