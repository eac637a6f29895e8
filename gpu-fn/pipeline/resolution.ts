/** Which size a model draws for the size that was asked for, and how that becomes what was asked for. */
import { ServiceError } from '#shared/errors.ts';
import { PIXELS_MAX, SIDE_MAX, SIDE_MIN, SIDE_MULTIPLE } from '#shared/limits.ts';
import type { ModelInfo } from '#shared/schemas/model.ts';
import { drawableSizes, nearestSize, type Size } from '#shared/sizes.ts';
import { cropCentre, type Grid, resizeBilinear } from '../tensor/resize.ts';
import type { GenerateOptions, Warning } from './components.ts';

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
  const [drawnWidth, drawnHeight] = nearestSize(candidates, {
    ratio: height / width,
    area: width * height,
  });
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
