/**
 * Protocol Buffers wire format, writing half: varints, 32-bit floats, strings, bytes and nested messages in
 * one growable buffer.
 *
 * Nested messages are written in place: five bytes are kept for the length and patched when the message
 * closes, as a padded varint, which the format allows. Knows nothing about ONNX.
 *
 * @see https://protobuf.dev/programming-guides/encoding/
 */
const WIRE_VARINT = 0;
const WIRE_LENGTH_DELIMITED = 2;
const WIRE_FIXED32 = 5;

/** A nested message longer than this does not fit the padded length; graphs without weights are far below. */
const MESSAGE_BYTES_MAX = 2 ** 31 - 1;
const LENGTH_BYTES = 5;

export class ProtobufWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(initialBytes = 1 << 16) {
    this.#bytes = new Uint8Array(initialBytes);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** An integer field (int32, int64, uint64, bool, enum). Negative numbers take ten bytes, as int64 does. */
  integer(field: number, value: number | bigint): this {
    this.#tag(field, WIRE_VARINT);
    this.#varint(BigInt(value));
    return this;
  }

  float(field: number, value: number): this {
    this.#tag(field, WIRE_FIXED32);
    this.#reserve(4);
    this.#view.setFloat32(this.#length, value, true);
    this.#length += 4;
    return this;
  }

  string(field: number, value: string): this {
    return this.bytes(field, encoder.encode(value));
  }

  bytes(field: number, value: Uint8Array): this {
    this.#tag(field, WIRE_LENGTH_DELIMITED);
    this.#varint(BigInt(value.length));
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  message(field: number, write: (writer: this) => void): this {
    this.#tag(field, WIRE_LENGTH_DELIMITED);
    this.#reserve(LENGTH_BYTES);
    const lengthAt = this.#length;
    this.#length += LENGTH_BYTES;
    write(this);
    let remaining = this.#length - lengthAt - LENGTH_BYTES;
    if (remaining > MESSAGE_BYTES_MAX) {
      throw new RangeError(
        `protobuf message of ${remaining} bytes is over the limit of ${MESSAGE_BYTES_MAX}`,
      );
    }
    for (let i = 0; i < LENGTH_BYTES - 1; i += 1) {
      this.#bytes[lengthAt + i] = (remaining & 0x7f) | 0x80;
      remaining >>>= 7;
    }
    this.#bytes[lengthAt + LENGTH_BYTES - 1] = remaining;
    return this;
  }

  /** @returns the bytes written so far, as a copy */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #tag(field: number, wireType: number): void {
    this.#varint(BigInt(field * 8 + wireType));
  }

  #varint(value: bigint): void {
    this.#reserve(10);
    if (value >= 0n && value <= 0x7fffffffn) {
      let small = Number(value);
      while (small > 0x7f) {
        this.#bytes[this.#length++] = (small & 0x7f) | 0x80;
        small >>>= 7;
      }
      this.#bytes[this.#length++] = small;
      return;
    }
    let rest = BigInt.asUintN(64, value);
    while (rest > 0x7fn) {
      this.#bytes[this.#length++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.#bytes[this.#length++] = Number(rest);
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + count));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

const encoder = new TextEncoder();
