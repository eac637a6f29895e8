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

export function parseHex(hex: string): readonly [number, number, number] {
  const value = Number.parseInt(hex.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

/** Pixels whose chroma is below this have no hue worth speaking of. */
const CHROMA_MIN = 0.04;
/** Half width of the band of hues that recolouring moves. */
const BAND_DEGREES = 48;
const BIN_COUNT = 36;
/** A drawing takes the name of a colour when at least this much of it has it. */
const NAMED_SHARE_MIN = 0.45;

export interface ColourFacts {
  /** Degrees of the strongest hue, chroma-weighted over 36 bins; null for colourless drawings. */
  readonly hue: number | null;
  /** Part of the drawing, 0–1, within ±48° of it. */
  readonly hueShare: number;
  /** Mean OKLab of those pixels, or of all pixels when there is no hue. */
  readonly main: Oklab;
  /** Mean OKLab of the outermost pixels, which meet the backdrop. */
  readonly rim: Oklab;
  /** Name out of the palette, or null when the drawing has no one colour. */
  readonly natural: string | null;
}

const hueOf = ({ a, b }: Oklab): number => ((Math.atan2(b, a) * 180) / Math.PI + 360) % 360;
const apart = (x: number, y: number): number => Math.abs(((x - y + 540) % 360) - 180);

/**
 * @param rgba   uint8 `[side, side, 4]`, straight alpha
 * @param depth  float `[side, side]`, distance of each pixel to the outside, in pixels
 */
export function measureColour(
  rgba: Uint8Array,
  depth: Float64Array,
  palette: Readonly<Record<string, string>>,
): ColourFacts {
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
  const band =
    hue === null
      ? []
      : pixels.filter((p) => Math.hypot(p.a, p.b) >= CHROMA_MIN && apart(hueOf(p), hue) <= BAND_DEGREES);
  const hueShare = band.length / pixels.length;
  const main = mean(band.length > 0 ? band : pixels);
  return { hue, hueShare, main, rim, natural: nameColour({ pixels, band, hueShare, palette }) };
}

function dominantHue(pixels: readonly Oklab[]): number | null {
  const bins = new Float64Array(BIN_COUNT);
  for (const pixel of pixels) {
    const chroma = Math.hypot(pixel.a, pixel.b);
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
    if (Math.hypot(pixel.a, pixel.b) < CHROMA_MIN || apart(hueOf(pixel), centre) > 20) continue;
    x += pixel.a;
    y += pixel.b;
  }
  return hueOf({ L: 0, a: x, b: y });
}

interface NameArgs {
  readonly pixels: readonly Oklab[];
  readonly band: readonly Oklab[];
  readonly hueShare: number;
  readonly palette: Readonly<Record<string, string>>;
}

function nameColour({ pixels, band, hueShare, palette }: NameArgs): string | null {
  const chromatic = hueShare >= NAMED_SHARE_MIN;
  const grays = pixels.filter((p) => Math.hypot(p.a, p.b) < CHROMA_MIN);
  if (!chromatic && grays.length / pixels.length < 0.6) return null;
  const wanted = mean(chromatic ? band : grays);
  if (!chromatic && deviation(grays, wanted) > 0.22) return null;
  const near = nearestName(wanted, palette);
  return near.distance <= 0.16 ? near.name : null;
}

/** Nearest palette colour in OKLab with lightness at half weight, since shading moves lightness. */
export function nearestName(
  wanted: Oklab,
  palette: Readonly<Record<string, string>>,
): { name: string; distance: number } {
  let best = { name: '', distance: Number.POSITIVE_INFINITY };
  for (const [name, hex] of Object.entries(palette)) {
    const colour = toOklab(...parseHex(hex));
    const distance = Math.hypot(
      (wanted.L - colour.L) * 0.5,
      wanted.a - colour.a,
      wanted.b - colour.b,
    );
    if (distance < best.distance) best = { name, distance };
  }
  return best;
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

function deviation(pixels: readonly Oklab[], centre: Oklab): number {
  let sum = 0;
  for (const pixel of pixels) sum += (pixel.L - centre.L) ** 2;
  return Math.sqrt(sum / Math.max(1, pixels.length));
}
