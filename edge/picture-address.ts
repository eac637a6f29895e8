/**
 * Where a picture lies, by the digest of its file and by whose it is.
 *
 *     img/{digest}                     shared: in one account or with everyone; its digest is the capability
 *     private/{account}/{digest}       private: reached by a signed URL only
 *     …/{variant}                      its variants, by their one spelling
 *     owner/{digest}/{account}/{key}   that an account had a shared picture drawn, under this cache key
 *     key/{cacheKey}                   which picture answers a request
 */
import { type Variant, variantQuery } from '#shared/variant.ts';

export interface PictureAddress {
  /** SHA-256 of the file, 64 hexadecimal digits. */
  readonly digest: string;
  /** Account of a private picture. */
  readonly owner?: string | undefined;
}

/** Object name of the file. */
export function originalName({ digest, owner }: PictureAddress): string {
  return owner === undefined ? `img/${digest}` : `private/${owner}/${digest}`;
}

export function variantName(address: PictureAddress, variant: Variant): string {
  return `${originalName(address)}/${variantQuery(variant)}`;
}

/** Object name of an index entry. */
export function entryName(cacheKey: string): string {
  return `key/${cacheKey}`;
}

/** Where the claims on a shared picture lie: all of them, or those of one account. */
export function claimPrefix(digest: string, account?: string): string {
  return account === undefined ? `owner/${digest}/` : `owner/${digest}/${account}/`;
}
