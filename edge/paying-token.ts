/** A browser token, as far as it limits what is drawn with it. */
export interface PayingToken {
  readonly id: string;
  readonly generations: number;
  /** Unix milliseconds. */
  readonly expiresMs: number;
}
