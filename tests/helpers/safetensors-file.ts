/** Writes safetensors files for tests: 8-byte little-endian header length, JSON header, data. */
import { writeFileSync } from 'node:fs';

export interface TensorToWrite {
  readonly dtype: 'F32' | 'F16' | 'BF16' | 'I8' | 'U8' | 'I64';
  readonly shape: readonly number[];
  readonly data: ArrayBufferView;
}

export function encodeSafetensors(
  tensors: Readonly<Record<string, TensorToWrite>>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  const header: Record<string, unknown> = metadata ? { __metadata__: metadata } : {};
  let offset = 0;
  for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  const file = joinSafetensors(JSON.stringify(header), offset);
  let at = file.length - offset;
  for (const { data } of Object.values(tensors)) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return file;
}

/** A file with any header text and so many zero bytes of data: for malformed files. */
export function joinSafetensors(headerJson: string, dataBytes: number): Uint8Array {
  const header = new TextEncoder().encode(headerJson);
  const file = new Uint8Array(8 + header.length + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(header.length), true);
  file.set(header, 8);
  return file;
}

export function writeSafetensors(
  path: string,
  tensors: Readonly<Record<string, TensorToWrite>>,
): void {
  writeFileSync(path, encodeSafetensors(tensors, { format: 'pt' }));
}

/** float32 → IEEE half bits, rounding half to even. */
export function toFloat16Bits(values: Float32Array): Uint16Array {
  return new Uint16Array(new Float16Array(values).buffer);
}

/** float32 → bfloat16 bits, rounding half to even. */
export function toBfloat16Bits(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i += 1) {
    const word = bits[i]!;
    out[i] = (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return out;
}
