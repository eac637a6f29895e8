/** One drawing → one square RGBA sprite whose longest side fills the frame, checked and measured. */
import sharp from 'sharp';
import { type ColourFacts, measureColour } from './colour.ts';
import { SpriteError } from './errors.ts';
import { boundingBox, type Circle, coverage, distanceToOutside, inscribedCircle } from './shape.ts';

export const SPRITE_SIDE = 160;
/** The longest side of the drawing inside the frame; the rest is margin for the sampler's filter. */
export const OBJECT_SIDE = 148;

const COVERAGE_MIN = 0.08;
/** A square plate would cover 0.856: such a drawing has its background with it. */
const COVERAGE_MAX = 0.82;

export interface Sprite {
  readonly webp: Buffer;
  /** Pixels; the drawing lies in the middle of its square. */
  readonly extent: { readonly width: number; readonly height: number };
  readonly coverage: number;
  readonly circle: Circle;
  readonly colour: ColourFacts;
}

/**
 * @param drawing  bytes of an SVG or WebP file
 * @param label    names the drawing in errors
 * @throws {SpriteError} `render` for an undecodable or empty drawing, `quality` for one that fails a gate
 */
export async function renderSprite(drawing: Buffer, label: string): Promise<Sprite> {
  const { rgba, extent } = await normalise(drawing, label);
  const covered = coverage(rgba);
  if (covered < COVERAGE_MIN || covered > COVERAGE_MAX) {
    throw new SpriteError(
      'quality',
      `${label} covers ${covered.toFixed(3)} of its square; allowed is ${COVERAGE_MIN} to ${COVERAGE_MAX}`,
    );
  }
  const depth = distanceToOutside(rgba, SPRITE_SIDE);
  const webp = await sharp(rgba, { raw: { width: SPRITE_SIDE, height: SPRITE_SIDE, channels: 4 } })
    .webp({ lossless: true, effort: 4 })
    .toBuffer();
  return {
    webp,
    extent,
    coverage: covered,
    circle: inscribedCircle(depth, SPRITE_SIDE),
    colour: measureColour(rgba, depth),
  };
}

/** @returns uint8 `[160, 160, 4]`, straight alpha, the drawing centred with its longest side at 148 px */
async function normalise(
  drawing: Buffer,
  label: string,
): Promise<{ rgba: Uint8Array; extent: Sprite['extent'] }> {
  const decoded = await sharp(drawing)
    .ensureAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true })
    .catch((cause: unknown) => {
      throw new SpriteError('render', `${label} cannot be decoded`, { cause });
    });
  const { width, height } = decoded.info;
  const box = boundingBox(decoded.data, width, height);
  if (box === null) throw new SpriteError('render', `${label} is empty`);
  const scale = OBJECT_SIDE / Math.max(box.width, box.height);
  const [w, h] = [Math.round(box.width * scale), Math.round(box.height * scale)];
  const left = Math.floor((SPRITE_SIDE - w) / 2);
  const top = Math.floor((SPRITE_SIDE - h) / 2);
  const rgba = await sharp(decoded.data, { raw: { width, height, channels: 4 } })
    .extract(box)
    .resize(w, h, { fit: 'fill', kernel: 'lanczos3' })
    .extend({
      left,
      top,
      right: SPRITE_SIDE - w - left,
      bottom: SPRITE_SIDE - h - top,
      background: { r: 0, g: 0, b: 0, alpha: 0 },
    })
    .raw()
    .toBuffer();
  return { rgba, extent: { width: w, height: h } };
}
