/** Drawings made by hand for the tests of the sprites stage. */

export const SIDE = 40;

type Paint = (x: number, y: number) => readonly [number, number, number, number];

/** uint8 `[40, 40, 4]` from a function of the pixel. */
export function paint(colourAt: Paint): Uint8Array {
  const rgba = new Uint8Array(SIDE * SIDE * 4);
  for (let y = 0; y < SIDE; y += 1) {
    for (let x = 0; x < SIDE; x += 1) rgba.set(colourAt(x, y), (y * SIDE + x) * 4);
  }
  return rgba;
}

export const CLEAR = [0, 0, 0, 0] as const;

/** A disc of radius 12 around pixel (20, 18). */
export const disc = (r: number, g: number, b: number): Uint8Array =>
  paint((x, y) => (Math.hypot(x - 20, y - 18) <= 12 ? [r, g, b, 255] : CLEAR));
