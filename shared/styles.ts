/**
 * Prompt templates by name: words around the prompt, and words to keep out of the picture.
 *
 * The nine styles of PixArt's demo, for models that know such words; a model lists those it knows.
 */

interface PromptStyle {
  readonly before: string;
  readonly after: string;
  readonly negative: string;
}

export const STYLES = {
  cinematic: {
    before: 'cinematic still',
    after:
      'emotional, harmonious, vignette, high budget, bokeh, cinemascope, moody, epic, film grain',
    negative: 'anime, cartoon, graphic, text, painting, glitch, deformed, ugly',
  },
  photographic: {
    before: 'cinematic photo',
    after: '35mm photograph, film, bokeh, professional, 4k, highly detailed',
    negative: 'drawing, painting, crayon, sketch, noisy, blurry, soft, deformed, ugly',
  },
  anime: {
    before: 'anime artwork',
    after: 'anime style, key visual, vibrant, studio anime, highly detailed',
    negative: 'photo, deformed, black and white, realism, low contrast',
  },
  manga: {
    before: 'manga style',
    after: 'vibrant, high-energy, detailed, iconic, japanese comic style',
    negative: 'ugly, deformed, noisy, blurry, low contrast, photorealism, western comic style',
  },
  'digital-art': {
    before: 'concept art',
    after: 'digital artwork, illustrative, painterly, matte painting, highly detailed',
    negative: 'photo, photorealistic, realism, ugly',
  },
  'pixel-art': {
    before: 'pixel-art',
    after: 'low-res, blocky, pixel art style, 8-bit graphics',
    negative: 'sloppy, messy, blurry, noisy, highly detailed, ultra textured, photo, realistic',
  },
  'fantasy-art': {
    before: 'ethereal fantasy concept art of',
    after:
      'magnificent, celestial, ethereal, painterly, epic, majestic, magical, cover art, dreamy',
    negative:
      'photographic, realistic, 35mm film, cropped, text, bad anatomy, duplicate, black and white',
  },
  neonpunk: {
    before: 'neonpunk style',
    after:
      'cyberpunk, vaporwave, neon, vibrant, magenta highlights, dark purple shadows, high contrast',
    negative: 'painting, drawing, illustration, glitch, deformed, mutated, disfigured',
  },
  '3d-model': {
    before: 'professional 3d model',
    after: 'octane render, highly detailed, volumetric, dramatic lighting',
    negative: 'ugly, deformed, noisy, low poly, blurry, painting',
  },
} as const satisfies Record<string, PromptStyle>;

export const STYLE_NAMES: readonly string[] = Object.keys(STYLES);

export interface StyledPrompt {
  readonly prompt: string;
  readonly negativePrompt: string;
}

/** @param style  a name of the table; any other changes nothing */
export function applyStyle(style: string | undefined, plain: StyledPrompt): StyledPrompt {
  if (style === undefined || !Object.hasOwn(STYLES, style)) return plain;
  const { before, after, negative }: PromptStyle = STYLES[style as keyof typeof STYLES];
  const own = plain.negativePrompt.trim();
  return {
    prompt: `${before} ${plain.prompt} . ${after}`,
    negativePrompt: own === '' ? negative : `${negative}, ${own}`,
  };
}
