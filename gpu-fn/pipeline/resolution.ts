/**
 * Which size a model draws for the size that was asked for.
 *
 * Sizes on the wire and in `ModelInfo` are `[width, height]`; the table of bins is height × width, as in
 * the reference.
 */
import { ServiceError } from '#shared/errors.ts';
import { PIXELS_MAX, SIDE_MAX, SIDE_MIN, SIDE_MULTIPLE } from '#shared/limits.ts';
import type { ModelInfo } from '#shared/schemas/model.ts';
import { cropCentre, type Grid, resizeBilinear } from '../tensor/resize.ts';
import type { GenerateOptions, Warning } from './components.ts';

export type Size = readonly [width: number, height: number];

export interface Resolution {
  /** what the model draws */
  readonly drawn: Size;
  /** present when the picture must be resampled to what was asked for */
  readonly warning?: Warning;
}

type SizeOptions = Pick<GenerateOptions, 'width' | 'height' | 'sizePolicy'>;
type SizeInfo = Pick<ModelInfo, 'id' | 'native_size' | 'sizes'>;

/**
 * A size that the model lists is always possible; others must keep the limits of the service.
 *
 * @throws {ServiceError} `invalid_parameter` naming the field and what is allowed
 */
export function resolveSize(options: SizeOptions, info: SizeInfo): Resolution {
  const { width, height, sizePolicy } = options;
  const candidates = drawableSizes(info);
  if (candidates.some(({ size: [w, h] }) => w === width && h === height)) {
    return { drawn: [width, height] };
  }
  checkSide('width', width);
  checkSide('height', height);
  if (width * height > PIXELS_MAX) {
    throw refuse(
      'width',
      `times height must be at most ${PIXELS_MAX} pixels, not ${width * height}`,
    );
  }
  if (sizePolicy === 'exact') {
    const list = candidates.map(({ size: [w, h] }) => `${w}x${h}`).join(', ');
    throw refuse('size', `${width}x${height} cannot be drawn by ${info.id}; it draws ${list}`);
  }
  const [drawnWidth, drawnHeight] = nearest(candidates, width, height);
  return {
    drawn: [drawnWidth, drawnHeight],
    warning: {
      code: 'size_resampled',
      param: 'size',
      message: `Drawn at ${drawnWidth}x${drawnHeight} and resampled to ${width}x${height}.`,
    },
  };
}

/** The picture at the size that was asked for: resized to cover it, then its middle. */
export function fitTo<G extends Grid>(image: G, width: number, height: number): G {
  if (image.width === width && image.height === height) return image;
  const ratio = Math.max(height / image.height, width / image.width);
  // Rounding of the product may fall just below the target, never more than one pixel.
  const coverWidth = Math.max(Math.trunc(image.width * ratio), width);
  const coverHeight = Math.max(Math.trunc(image.height * ratio), height);
  return cropCentre(resizeBilinear(image, coverWidth, coverHeight), width, height);
}

interface Candidate {
  readonly size: Size;
  /** height / width; of a bin the nominal one, which the reference compares with */
  readonly ratio: number;
  /** bins have none: the reference looks at the ratio alone */
  readonly area?: number;
}

function drawableSizes(info: SizeInfo): readonly Candidate[] {
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
function nearest(candidates: readonly Candidate[], width: number, height: number): Size {
  const ratio = height / width;
  const area = width * height;
  const distance = (candidate: Candidate) => {
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

function checkSide(param: 'width' | 'height', value: number): void {
  if (!Number.isInteger(value) || value < SIDE_MIN || value > SIDE_MAX) {
    throw refuse(param, `must be an integer from ${SIDE_MIN} to ${SIDE_MAX}, not ${value}`);
  }
  if (value % SIDE_MULTIPLE !== 0) {
    throw refuse(param, `${value} is not a multiple of ${SIDE_MULTIPLE}`);
  }
}

function refuse(param: string, detail: string): ServiceError {
  return new ServiceError('invalid_parameter', { detail, param });
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
