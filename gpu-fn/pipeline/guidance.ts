/**
 * Classifier-free guidance: away from what the negative prompt predicts, towards what the prompt does.
 *
 * @see Ho & Salimans 2022, Classifier-Free Diffusion Guidance (arXiv:2207.12598)
 */

/** At and below 1 there is nothing to steer away from, and no second prediction. */
export function isGuided(guidanceScale: number): boolean {
  return guidanceScale > 1;
}

/**
 * u + s·(c − u)
 *
 * @param conditional    float32 `[1, C, H, W]`, with the prompt
 * @param unconditional  the same shape, with the negative prompt
 * @param guidedLength   values from the first that are changed; the rest stays as the prompt predicts it
 */
export function guide(
  conditional: Float32Array,
  unconditional: Float32Array,
  { scale, guidedLength }: { readonly scale: number; readonly guidedLength: number },
): Float32Array {
  const { fround } = Math;
  return conditional.map((c, i) => {
    const u = unconditional[i]!;
    return i < guidedLength ? u + fround(scale * fround(c - u)) : c;
  });
}
