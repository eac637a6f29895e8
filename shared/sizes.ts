/**
 * The sizes that a model draws.
 *
 * Sizes on the wire and in `ModelInfo` are `[width, height]`; the table of bins is height × width, as in the reference.
 */
import type { PromptFlags } from './prompt-flags.ts';
import type { ModelInfo } from './schemas/model.ts';

export type Size = readonly [width: number, height: number];

type SizeInfo = Pick<ModelInfo, 'id' | 'native_size' | 'sizes'>;

export interface DrawableSize {
  readonly size: Size;
  /** height / width; of a bin the nominal one, which the reference compares with */
  readonly ratio: number;
  /** bins have none: the reference looks at the ratio alone */
  readonly area?: number;
}

/** @throws {RangeError} when the model has bins and a native size that no table is for */
export function drawableSizes(info: SizeInfo): readonly DrawableSize[] {
  if (info.sizes !== 'bins') {
    return info.sizes.map(([w, h]) => ({ size: [w, h], ratio: h / w, area: w * h }));
  }
  const divisor = 1024 / info.native_size[0];
  if (![1, 2, 4].includes(divisor)) {
    throw new RangeError(`${info.id} has bins, but a native size of ${info.native_size[0]} px`);
  }
  return ASPECT_RATIO_BINS.map(([ratio, h, w]) => ({ ratio, size: [w / divisor, h / divisor] }));
}

/** The nearest ratio, of several equal ones the nearest area; the first in the table wins a tie. */
export function nearestSize(
  candidates: readonly DrawableSize[],
  { ratio, area }: Required<Pick<DrawableSize, 'ratio' | 'area'>>,
): Size {
  const distance = (candidate: DrawableSize) => {
    return {
      ratio: Math.abs(candidate.ratio - ratio),
      area: candidate.area === undefined ? 0 : Math.abs(candidate.area - area),
    };
  };
  return candidates.reduce((best, candidate) => {
    const a = distance(candidate);
    const b = distance(best);
    const closer = a.ratio < b.ratio || (a.ratio === b.ratio && a.area < b.area);
    return closer ? candidate : best;
  }).size;
}

/** The size that flags inside a prompt ask for, or undefined. */
export function sizeOfFlags(
  { size, aspectRatio }: Pick<PromptFlags, 'size' | 'aspectRatio'>,
  info: SizeInfo,
): Size | undefined {
  if (size !== undefined) return [size.width, size.height];
  if (aspectRatio === undefined) return undefined;
  const [width, height] = info.native_size;
  return nearestSize(drawableSizes(info), { ratio: aspectRatio, area: width * height });
}

/**
 * `[nominal height / width, height, width]` of the 1024 px model; those of 512 and 256 px have half and a
 * quarter.
 *
 * @see diffusers pipelines/pixart_alpha, ASPECT_RATIO_1024_BIN
 */
const ASPECT_RATIO_BINS: readonly (readonly [ratio: number, height: number, width: number])[] = [
  [0.25, 512, 2048],
  [0.28, 512, 1856],
  [0.32, 576, 1792],
  [0.33, 576, 1728],
  [0.35, 576, 1664],
  [0.4, 640, 1600],
  [0.42, 640, 1536],
  [0.48, 704, 1472],
  [0.5, 704, 1408],
  [0.52, 704, 1344],
  [0.57, 768, 1344],
  [0.6, 768, 1280],
  [0.68, 832, 1216],
  [0.72, 832, 1152],
  [0.78, 896, 1152],
  [0.82, 896, 1088],
  [0.88, 960, 1088],
  [0.94, 960, 1024],
  [1.0, 1024, 1024],
  [1.07, 1024, 960],
  [1.13, 1088, 960],
  [1.21, 1088, 896],
  [1.29, 1152, 896],
  [1.38, 1152, 832],
  [1.46, 1216, 832],
  [1.67, 1280, 768],
  [1.75, 1344, 768],
  [2.0, 1408, 704],
  [2.09, 1472, 704],
  [2.4, 1536, 640],
  [2.5, 1600, 640],
  [3.0, 1728, 576],
  [4.0, 2048, 512],
];
