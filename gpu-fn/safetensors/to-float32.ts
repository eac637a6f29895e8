/** Bytes of a tensor as float32, whatever float they are on disk. */
import type { TensorEntry } from './safetensors.ts';

/**
 * @param bytes  little-endian, aligned to the size of an element
 * @returns      undefined when the dtype is no float; a view of `bytes` where they are float32 already
 */
export function toFloat32(bytes: Uint8Array, { dtype }: TensorEntry): Float32Array | undefined {
  switch (dtype) {
    case 'F32':
      return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    case 'F16':
      return new Float32Array(new Float16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2));
    case 'BF16':
      return fromBfloat16(new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2));
    case 'I8':
    case 'U8':
    case 'I64':
      return undefined;
  }
}

function fromBfloat16(bits: Uint16Array): Float32Array {
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i += 1) words[i] = bits[i]! << 16;
  return new Float32Array(words.buffer);
}
