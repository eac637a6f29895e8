/**
 * Prompt text: what is refused and what is changed before it is keyed or encoded.
 *
 * The order matters: bytes, well-formedness, code points and runs of combining marks are checked before
 * NFC, because normalisation is quadratic in such runs.
 */
import type { ErrorCode } from './errors.ts';
import { COMBINING_MARKS_MAX, PROMPT_BYTES_MAX, PROMPT_CODE_POINTS_MAX } from './limits.ts';

export interface PromptFault {
  readonly code: Extract<
    ErrorCode,
    'prompt_empty' | 'prompt_too_long' | 'invalid_utf8' | 'invalid_parameter'
  >;
  readonly message: string;
}

/** Anything that leaves a mark: not space, not control or format, not a combining mark on nothing. */
const VISIBLE = /[^\p{White_Space}\p{C}\p{M}\p{Default_Ignorable_Code_Point}]/u;
const LONG_RUN_OF_MARKS = new RegExp(`\\p{M}{${COMBINING_MARKS_MAX + 1}}`, 'u');

/**
 * Says what is wrong with a prompt, or undefined.
 *
 * @param allowEmpty  true for negative prompts
 */
export function findPromptFault(
  text: string,
  { allowEmpty = false }: { allowEmpty?: boolean } = {},
): PromptFault | undefined {
  // A UTF-16 unit is at most three UTF-8 bytes and at least one: settles most cases without encoding.
  if (text.length > PROMPT_BYTES_MAX) {
    return { code: 'prompt_too_long', message: `is longer than ${PROMPT_BYTES_MAX} bytes` };
  }
  if (!text.isWellFormed()) {
    return { code: 'invalid_utf8', message: 'contains half of a surrogate pair' };
  }
  if (utf8Length(text) > PROMPT_BYTES_MAX) {
    return {
      code: 'prompt_too_long',
      message: `is ${utf8Length(text)} bytes long, ${PROMPT_BYTES_MAX} are allowed`,
    };
  }
  const before = codePointCount(text);
  if (before > PROMPT_CODE_POINTS_MAX) return tooManyCodePoints(before);
  if (LONG_RUN_OF_MARKS.test(text)) {
    return {
      code: 'invalid_parameter',
      message: `has more than ${COMBINING_MARKS_MAX} combining marks in a row`,
    };
  }
  const after = codePointCount(text.normalize('NFC'));
  if (after > PROMPT_CODE_POINTS_MAX) return tooManyCodePoints(after);
  if (!allowEmpty && !VISIBLE.test(text)) {
    return { code: 'prompt_empty', message: 'has no visible character' };
  }
  return undefined;
}

/**
 * The form of a prompt that is keyed and drawn: NFC, ends trimmed, inner white space kept.
 *
 * Trimmed are the characters of `String.prototype.trim`: Unicode `Zs`, TAB, VT, FF, line ends and U+FEFF, but
 * not U+0085 or U+200B.
 */
export function normalizePrompt(text: string): string {
  return text.normalize('NFC').trim();
}

function tooManyCodePoints(count: number): PromptFault {
  return {
    code: 'prompt_too_long',
    message: `has ${count} characters, ${PROMPT_CODE_POINTS_MAX} are allowed`,
  };
}

function codePointCount(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

function utf8Length(text: string): number {
  return new TextEncoder().encode(text).length;
}
