/** A checkpoint that cannot be converted: the message names the file and the tensor or configuration key. */
export class CheckpointError extends Error {
  override readonly name = 'CheckpointError';
}
