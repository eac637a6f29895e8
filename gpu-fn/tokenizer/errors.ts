/** A tokenizer file that cannot be used; the message names the part and the limit. */
export class TokenizerFormatError extends Error {
  override readonly name = 'TokenizerFormatError';
}
