/**
 * sRGB ⇄ OKLab and the colour facts of one drawing: its dominant hue, how much of it has that hue, its name.
 *
 * @see Björn Ottosson 2020, "A perceptual color space for image processing"
 */

export interface Oklab {
  readonly L: number;
  readonly a: number;
  readonly b: number;
}

const toLinear = (u: number): number => (u <= 0.04045 ? u / 12.92 : ((u + 0.055) / 1.055) ** 2.4);

/** @param r 0–255 @param g 0–255 @param b 0–255 */
export function toOklab(r: number, g: number, b: number): Oklab {
  const [R, G, B] = [toLinear(r / 255), toLinear(g / 255), toLinear(b / 255)];
  const l = Math.cbrt(0.4122214708 * R + 0.5363325363 * G + 0.0514459929 * B);
  const m = Math.cbrt(0.2119034982 * R + 0.6806995451 * G + 0.1073969566 * B);
  const s = Math.cbrt(0.0883024619 * R + 0.2817188376 * G + 0.6299787005 * B);
  return {
    L: 0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    a: 1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    b: 0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  };
}

/** Pixels whose chroma is below this have no hue worth speaking of. */
const CHROMA_MIN = 0.04;
/** Half width of the band of hues that recolouring moves. */
const BAND_DEGREES = 48;
const BIN_COUNT = 36;
/** A drawing takes the name of a colour when at least this much of it has it. */
const NAMED_SHARE_MIN = 0.45;

/** Pixels with less chroma than the first and more lightness than the second can take a tint. */
const TINT_CHROMA_MAX = 0.06;
const TINT_LIGHTNESS_MIN = 0.42;

export interface ColourFacts {
  /** Degrees of the strongest hue, chroma-weighted over 36 bins; null for colourless drawings. */
  readonly hue: number | null;
  /** Part of the drawing, 0–1, within ±48° of it. */
  readonly hueShare: number;
  /** Mean OKLab of those pixels, or of all pixels when there is no hue. */
  readonly main: Oklab;
  /** Part of the drawing, 0–1, that is white or gray and so can take a tint. */
  readonly grayShare: number;
  /** Mean OKLab of that part. */
  readonly grayMain: Oklab;
  /** Mean OKLab of the outermost pixels, which meet the backdrop. */
  readonly rim: Oklab;
  /** Name out of the palette, or null when the drawing has no one colour. */
  readonly natural: string | null;
}

const hueOf = ({ a, b }: Oklab): number => ((Math.atan2(b, a) * 180) / Math.PI + 360) % 360;
const chromaOf = ({ a, b }: Oklab): number => Math.hypot(a, b);
const apart = (x: number, y: number): number => Math.abs(((x - y + 540) % 360) - 180);

/**
 * @param rgba   uint8 `[side, side, 4]`, straight alpha
 * @param depth  float `[side, side]`, distance of each pixel to the outside, in pixels
 */
export function measureColour(rgba: Uint8Array, depth: Float64Array): ColourFacts {
  const pixels: Oklab[] = [];
  const rimPixels: Oklab[] = [];
  for (let i = 0; i < depth.length; i += 1) {
    if (rgba[i * 4 + 3]! < 128) continue;
    const pixel = toOklab(rgba[i * 4]!, rgba[i * 4 + 1]!, rgba[i * 4 + 2]!);
    pixels.push(pixel);
    if (depth[i]! > 1 && depth[i]! <= 5) rimPixels.push(pixel);
  }
  const rim = mean(rimPixels.length > 0 ? rimPixels : pixels);
  const hue = dominantHue(pixels);
  const band = pixels.filter(
    (p) => hue !== null && chromaOf(p) >= CHROMA_MIN && apart(hueOf(p), hue) <= BAND_DEGREES,
  );
  const grays = pixels.filter((p) => chromaOf(p) < TINT_CHROMA_MAX && p.L > TINT_LIGHTNESS_MIN);
  const hueShare = band.length / pixels.length;
  const main = mean(band.length > 0 ? band : pixels);
  return {
    hue,
    hueShare,
    main,
    grayShare: grays.length / pixels.length,
    grayMain: mean(grays),
    rim,
    natural:
      hueShare >= NAMED_SHARE_MIN && chromaOf(main) > 0.055 ? nameHue(main) : nameGray(pixels),
  };
}

function dominantHue(pixels: readonly Oklab[]): number | null {
  const bins = new Float64Array(BIN_COUNT);
  for (const pixel of pixels) {
    const chroma = chromaOf(pixel);
    if (chroma < CHROMA_MIN) continue;
    const bin = Math.floor((hueOf(pixel) / 360) * BIN_COUNT) % BIN_COUNT;
    bins[bin] = bins[bin]! + chroma;
  }
  // A bin counts with its two neighbours, so that a hue on the border of two bins is not halved.
  let best = 0;
  let bestBin = -1;
  for (let i = 0; i < BIN_COUNT; i += 1) {
    const sum = bins[i]! + bins[(i + 1) % BIN_COUNT]! + bins[(i + BIN_COUNT - 1) % BIN_COUNT]!;
    if (sum > best) {
      best = sum;
      bestBin = i;
    }
  }
  if (bestBin < 0) return null;
  const centre = (bestBin + 0.5) * (360 / BIN_COUNT);
  let x = 0;
  let y = 0;
  for (const pixel of pixels) {
    if (chromaOf(pixel) < CHROMA_MIN || apart(hueOf(pixel), centre) > 20) continue;
    x += pixel.a;
    y += pixel.b;
  }
  return hueOf({ L: 0, a: x, b: y });
}

/**
 * Everyday name of a colour with a hue, or null for those the palette has no word for (tan, cream); the borders
 * were set by looking at the drawings.
 */
export function nameHue(colour: Oklab): string | null {
  const hue = hueOf(colour);
  const chroma = chromaOf(colour);
  const { L } = colour;
  if (L < 0.34 && chroma < 0.09) return 'black';
  const isWarm = hue < 82 || hue >= 340;
  if (isWarm && (chroma < 0.1 || (chroma < 0.13 && hue >= 35 && hue < 82))) {
    if (L < 0.69) return 'brown';
    return hue < 35 || hue >= 340 ? 'pink' : null;
  }
  if (hue >= 330) return 'pink';
  if (hue < 8) return L < 0.6 ? 'red' : 'pink';
  if (hue < 44) {
    if ((hue >= 33 && L >= 0.715) || (hue >= 41 && L >= 0.66)) return 'orange';
    return L > 0.725 ? 'pink' : 'red';
  }
  if (hue < 79) return L < 0.64 ? 'brown' : 'orange';
  if (hue < 112) return L < 0.55 ? 'brown' : 'yellow';
  if (hue < 170) return 'green';
  if (hue < 212) return 'teal';
  if (hue < 283) return L > 0.78 ? 'light blue' : 'blue';
  return 'purple';
}

/** Name of a drawing that is mostly white, gray or black; null when it is a mixture. */
function nameGray(pixels: readonly Oklab[]): string | null {
  const share = (test: (p: Oklab) => boolean): number =>
    pixels.filter((p) => chromaOf(p) < CHROMA_MIN && test(p)).length / pixels.length;
  if (share((p) => p.L > 0.86) > 0.6) return 'white';
  if (share((p) => p.L < 0.36) > 0.6) return 'black';
  if (share((p) => p.L >= 0.45 && p.L <= 0.86) > 0.6) return 'gray';
  return null;
}

function mean(pixels: readonly Oklab[]): Oklab {
  let [L, a, b] = [0, 0, 0];
  for (const pixel of pixels) {
    L += pixel.L;
    a += pixel.a;
    b += pixel.b;
  }
  const count = Math.max(1, pixels.length);
  return { L: L / count, a: a / count, b: b / count };
}
