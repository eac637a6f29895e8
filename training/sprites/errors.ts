/** What can go wrong in this stage, each with the exit status the command ends with. */

export type SpriteErrorCode =
  | 'usage'
  | 'licence'
  | 'missing_drawing'
  | 'render'
  | 'quality'
  | 'output';

const EXIT_STATUS: Record<SpriteErrorCode, number> = {
  usage: 2,
  licence: 3,
  missing_drawing: 4,
  render: 5,
  quality: 6,
  output: 7,
};

export class SpriteError extends Error {
  override readonly name = 'SpriteError';
  readonly code: SpriteErrorCode;

  constructor(code: SpriteErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  get exitStatus(): number {
    return EXIT_STATUS[this.code];
  }
}
