/**
 * Sizes that are asked for inside the prompt: `a cat --ar 3:4`, `a cat --hw 768:512`. Height comes first.
 *
 * | flag                    | means                                         |
 * |-------------------------|-----------------------------------------------|
 * | `--ar`, `--aspect_ratio` | height to width: the nearest that the model draws |
 * | `--hw`                  | height and width of the picture in pixels     |
 *
 * The prompt ends at the first flag. Of several flags `--hw` wins, then `--aspect_ratio`.
 */
import { SIDE_MAX, SIDE_MIN, SIDE_MULTIPLE } from './limits.ts';

export interface PromptFlags {
  /** up to the first flag */
  readonly prompt: string;
  /** height / width */
  readonly aspectRatio?: number;
  /** pixels */
  readonly size?: { readonly height: number; readonly width: number };
  /** What stood behind the flags and is no flag. */
  readonly droppedText: string;
  /** Why a flag cannot be followed. */
  readonly fault?: string;
}

const FLAG = /(?:^|\s)--(aspect_ratio|ar|hw)(?=[\s=]|$)/;
const VALUE = /^[\s=]\s*([1-9]\d{0,3}):([1-9]\d{0,3})(?=\s|$)/;
/** A prompt holds few; more are text. */
const FLAGS_MAX = 8;

export function parsePromptFlags(text: string): PromptFlags {
  const first = FLAG.exec(text);
  if (first === null) return { prompt: text, droppedText: '' };
  const prompt = text.slice(0, first.index).trimEnd();
  const values = new Map<string, readonly [height: number, width: number]>();
  const dropped: string[] = [];
  let rest = text.slice(first.index);
  for (let count = 0; count < FLAGS_MAX; count += 1) {
    const flag = FLAG.exec(rest);
    if (flag === null) break;
    const name = flag[1]!;
    dropped.push(rest.slice(0, flag.index));
    rest = rest.slice(flag.index + flag[0].length);
    const value = VALUE.exec(rest);
    if (value === null) {
      return { prompt, droppedText: '', fault: `--${name} must be followed by height:width` };
    }
    values.set(name, [Number(value[1]), Number(value[2])]);
    rest = rest.slice(value[0].length);
  }
  dropped.push(rest);
  const droppedText = dropped.join(' ').trim().replaceAll(/\s+/g, ' ');
  const [height, width] = values.get('hw') ?? [];
  if (height !== undefined && width !== undefined) {
    const wrong = [height, width].find(
      (side) => side < SIDE_MIN || side > SIDE_MAX || side % SIDE_MULTIPLE !== 0,
    );
    if (wrong === undefined) return { prompt, droppedText, size: { height, width } };
    const rule = `multiples of ${SIDE_MULTIPLE} from ${SIDE_MIN} to ${SIDE_MAX}`;
    return { prompt, droppedText, fault: `--hw takes ${rule}, not ${wrong}` };
  }
  const ratio = values.get('aspect_ratio') ?? values.get('ar');
  if (ratio === undefined) return { prompt, droppedText };
  return { prompt, droppedText, aspectRatio: ratio[0] / ratio[1] };
}
