/** One picture: its bytes, or the place to get them, and what is known of it. */
import { decodeBase64 } from '../base64.ts';
import { sha256Hex } from '../hex.ts';
import { DigestMismatchError, InvalidResponseError } from './errors.ts';

export interface GeneratedImageFields {
  /** SHA-256 of the file, 64 hexadecimal digits. */
  readonly id?: string | undefined;
  readonly seed?: number | undefined;
  /** `hit`: it was in the cache; `miss`: it was drawn; `coalesced`: someone else was having it drawn. */
  readonly cache?: 'hit' | 'miss' | 'coalesced' | undefined;
  readonly url?: string | undefined;
  readonly b64_json?: string | undefined;
  readonly mediaType: string;
}

export class GeneratedImage implements GeneratedImageFields {
  readonly id: string | undefined;
  readonly seed: number | undefined;
  readonly cache: 'hit' | 'miss' | 'coalesced' | undefined;
  /** Where the file can be had; does not expire. Absent if it was not stored. */
  readonly url: string | undefined;
  readonly b64_json: string | undefined;
  readonly mediaType: string;
  #isChecked = false;
  readonly #download: (url: string) => Promise<Uint8Array<ArrayBuffer>>;

  constructor(
    fields: GeneratedImageFields,
    download: (url: string) => Promise<Uint8Array<ArrayBuffer>>,
  ) {
    this.id = fields.id;
    this.seed = fields.seed;
    this.cache = fields.cache;
    this.url = fields.url;
    this.b64_json = fields.b64_json;
    this.mediaType = fields.mediaType;
    this.#download = download;
  }

  /** For the `src` of an `<img>`: a `data:` URL of the bytes if they are here, else the URL. */
  get src(): string {
    return this.b64_json === undefined
      ? (this.url ?? '')
      : `data:${this.mediaType};base64,${this.b64_json}`;
  }

  /**
   * The file. Its digest is checked wherever the platform can (web pages: over HTTPS).
   *
   * @throws {DigestMismatchError} when they are not the bytes that `id` names
   */
  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    const { b64_json: text, url = '' } = this;
    const bytes = text === undefined ? await this.#download(url) : decode(text);
    // Pages that came over plain HTTP have no WebCrypto.
    const canCheck = (crypto.subtle as SubtleCrypto | undefined) !== undefined;
    if (this.id === undefined || this.#isChecked || !canCheck) return bytes;
    const digest = await sha256Hex(bytes);
    if (digest !== this.id) {
      const message = `The picture's digest is ${digest}, not ${this.id} as was said.`;
      throw new DigestMismatchError(message, { retryable: true });
    }
    // The text does not change; what a URL answers may.
    this.#isChecked = text !== undefined;
    return bytes;
  }

  async blob(): Promise<Blob> {
    return new Blob([await this.bytes()], { type: this.mediaType });
  }
}

function decode(text: string): Uint8Array<ArrayBuffer> {
  try {
    return decodeBase64(text);
  } catch (cause) {
    throw new InvalidResponseError('A picture is not base64.', { retryable: true, cause });
  }
}
