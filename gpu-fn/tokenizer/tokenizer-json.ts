/**
 * The `tokenizer.json` of a bundle: the Hugging Face layout, and one member of ours.
 *
 * `sentencepiece` holds what that layout has no place for: which pieces are never matched in text, and
 * what happens to the text before the search. `normalizer` stays null for that reason.
 */
import * as z from 'zod';
import { TokenizerFormatError } from './errors.ts';

/** SentencePiece's types without BYTE, which our vocabularies never hold. */
export const pieceType = z.enum(['normal', 'unknown', 'control', 'user_defined', 'unused']);
export type PieceType = z.infer<typeof pieceType>;

export const tokenizerJson = z.object({
  version: z.literal('1.0'),
  truncation: z.null(),
  padding: z.null(),
  added_tokens: z.array(z.never()),
  normalizer: z.null(),
  pre_tokenizer: z.null(),
  post_processor: z.null(),
  decoder: z.object({
    type: z.literal('Metaspace'),
    replacement: z.literal('▁'),
    prepend_scheme: z.literal('always'),
    split: z.literal(false),
  }),
  model: z.object({
    type: z.literal('Unigram'),
    unk_id: z.int().min(0),
    /** `[piece, log probability]` in id order */
    vocab: z.array(z.tuple([z.string().min(1), z.number()])).min(1),
    byte_fallback: z.literal(false),
  }),
  sentencepiece: z.object({
    /** base64 of the normaliser's `precompiled_charsmap`, empty for none */
    charsmap: z.base64(),
    add_dummy_prefix: z.boolean(),
    remove_extra_whitespaces: z.boolean(),
    escape_whitespaces: z.boolean(),
    /** `[id, type]` of every piece that is not `normal` */
    piece_types: z.array(z.tuple([z.int().min(0), pieceType])),
  }),
});
export type TokenizerJson = z.infer<typeof tokenizerJson>;

/** @throws {TokenizerFormatError} naming the first member that is wrong */
export function parseTokenizerJson(text: string): TokenizerJson {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new TokenizerFormatError('tokenizer.json is not JSON', { cause });
  }
  const result = tokenizerJson.safeParse(value);
  if (!result.success) {
    const issue = result.error.issues[0];
    throw new TokenizerFormatError(
      `tokenizer.json: ${issue?.path.join('.') ?? ''} ${issue?.message ?? 'is malformed'}`,
      { cause: result.error },
    );
  }
  return result.data;
}
