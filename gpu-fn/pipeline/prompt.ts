/**
 * From what a caller wrote to the text that is encoded, and whether the picture keeps its transparency.
 */
import { ServiceError } from '#shared/errors.ts';
import { findPromptFault } from '#shared/prompt.ts';
import { parsePromptFlags } from '#shared/prompt-flags.ts';
import type { ModelInfo } from '#shared/schemas/model.ts';
import { applyStyle } from '#shared/styles.ts';
import type { Encoding } from '../tokenizer/tokenizer.ts';
import { cleanCaption } from './clean-caption.ts';
import type { GenerateOptions, Warning } from './components.ts';

export interface PreparedPrompt {
  /** lower-cased and stripped, or cleaned where the model was trained on cleaned captions */
  readonly text: string;
  /** the same of the negative prompt; empty where there is none */
  readonly negativeText: string;
  readonly keepsAlpha: boolean;
  readonly warnings: readonly Warning[];
}

type PromptOptions = Pick<
  GenerateOptions,
  'prompt' | 'negativePrompt' | 'background' | 'outputFormat' | 'style'
>;

const TRANSPARENT = 'on a transparent background';
const ASKS_FOR_TRANSPARENCY = /\btransparent\s+background\b/iu;

/** @throws {ServiceError} when a text is empty, too long or malformed, or transparency is impossible */
export function preparePrompt(
  options: PromptOptions,
  info: Pick<ModelInfo, 'id' | 'alpha' | 'clean_caption' | 'styles'>,
): PreparedPrompt {
  const { prompt, negativePrompt = '', background, outputFormat = 'png' } = options;
  checkText('prompt', prompt, false);
  checkText('negative_prompt', negativePrompt, true);
  if (background === 'transparent') {
    if (!info.alpha) {
      throw refuse('background', `must be auto or opaque: ${info.id} draws no transparency`);
    }
    if (outputFormat === 'jpeg') {
      throw refuse('background', 'must be auto or opaque: jpeg holds no transparency');
    }
  }
  if (options.style !== undefined && info.styles?.includes(options.style) !== true) {
    throw refuse('style', `must be a style of ${info.id}, not ${JSON.stringify(options.style)}`);
  }
  // The flags themselves have been read where the size was chosen.
  const { prompt: plain, fault, droppedText } = parsePromptFlags(prompt);
  if (fault !== undefined) throw refuse('prompt', fault);
  checkText('prompt', plain, false);
  const asks = ASKS_FOR_TRANSPARENCY.test(plain);
  const styled = applyStyle(options.style, { prompt: plain, negativePrompt });
  const clean = info.clean_caption ? cleanCaption : lowerAndStrip;
  const text = clean(styled.prompt);
  return {
    text: background === 'transparent' && !asks ? `${text} ${TRANSPARENT}` : text,
    negativeText: clean(styled.negativePrompt),
    warnings: droppedText === '' ? [] : [textBehindFlags(droppedText)],
    keepsAlpha:
      background === 'transparent' ||
      (background === 'auto' && info.alpha && asks && outputFormat !== 'jpeg'),
  };
}

function textBehindFlags(text: string): Warning {
  const message = `The prompt ends at its first flag; this part was not used: ${quote(text)}.`;
  return { code: 'prompt_truncated', message, param: 'prompt' };
}

/** What the tokenizer could not use, in words for the caller. */
export function promptWarnings(
  encoding: Encoding,
  param: 'prompt' | 'negative_prompt' = 'prompt',
): Warning[] {
  const warnings: Warning[] = [];
  if (encoding.droppedText !== '') {
    const name = param === 'prompt' ? 'prompt' : 'negative prompt';
    const message = `The ${name} is too long; this part was not used: ${quote(encoding.droppedText)}.`;
    warnings.push({ code: 'prompt_truncated', message, param });
  }
  if (encoding.unknownWords.length > 0) {
    const words = encoding.unknownWords.slice(0, WORDS_SHOWN_MAX).map(quote).join(', ');
    const more = encoding.unknownWords.length > WORDS_SHOWN_MAX ? ', …' : '';
    const message = `The model's vocabulary does not cover: ${words}${more}.`;
    warnings.push({ code: 'unknown_words', message, param });
  }
  return warnings;
}

const WORDS_SHOWN_MAX = 8;
/** Warnings travel in answers and events; the caller has the whole prompt anyway. */
const QUOTE_CODE_POINTS_MAX = 160;

function quote(text: string): string {
  const characters = Array.from(text);
  const shown = characters.slice(0, QUOTE_CODE_POINTS_MAX).join('');
  return `"${shown}${characters.length > QUOTE_CODE_POINTS_MAX ? '…' : ''}"`;
}

/** The tokenizer's normaliser strips what the two languages count differently as white space. */
function lowerAndStrip(text: string): string {
  return text.toLowerCase().trim();
}

function checkText(param: string, text: string, allowEmpty: boolean): void {
  const fault = findPromptFault(text, { allowEmpty });
  if (fault !== undefined) {
    throw new ServiceError(fault.code, { detail: fault.message, param });
  }
}

function refuse(param: string, detail: string): ServiceError {
  return new ServiceError('invalid_parameter', { detail, param });
}
