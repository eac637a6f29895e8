import { describe, expect, it } from 'vitest';
import { ProtobufWriter } from '../../../../gpu-fn/convert/onnx/protobuf-writer.ts';
import { ProtobufMessage } from '../../../helpers/protobuf-reader.ts';

describe('ProtobufWriter', () => {
  it('integer() writes the bytes of the specification’s example', () => {
    expect([...new ProtobufWriter().integer(1, 150).finish()]).toEqual([0x08, 0x96, 0x01]);
  });

  it.each([0, 1, 127, 128, 2 ** 31 - 1, 2 ** 31, 2 ** 53 - 1, -1, -(2 ** 31), -(2 ** 53) + 1])(
    'integer() writes %d so that a reader finds it',
    (value) => {
      const message = new ProtobufMessage(new ProtobufWriter().integer(7, value).finish());
      expect(message.integers(7)).toEqual([value]);
    },
  );

  it('integer() takes ten bytes for a negative number, as int64 does', () => {
    expect(new ProtobufWriter().integer(1, -1).finish().length).toBe(1 + 10);
  });

  it('writes strings, bytes, floats and field numbers above 15', () => {
    const written = new ProtobufWriter()
      .string(1, 'größer')
      .bytes(2, Uint8Array.of(0, 255))
      .float(20, -0.5)
      .finish();
    const message = new ProtobufMessage(written);
    expect(message.string(1)).toBe('größer');
    expect(message.bytes(2)).toEqual([Uint8Array.of(0, 255)]);
    expect(message.floats(20)).toEqual([-0.5]);
  });

  it('message() nests, keeps order and may be empty', () => {
    const written = new ProtobufWriter(1)
      .message(1, (outer) => outer.message(2, (inner) => inner.integer(3, 4)).string(5, 'x'))
      .message(1, () => undefined)
      .finish();
    const [first, second] = new ProtobufMessage(written).messages(1);
    expect(first?.message(2).integer(3)).toBe(4);
    expect(first?.string(5)).toBe('x');
    expect(second?.fieldNumbers).toEqual([]);
  });

  it('grows past its first buffer', () => {
    const writer = new ProtobufWriter(16);
    for (let i = 0; i < 1000; i += 1) writer.string(1, `piece ${i}`);
    const strings = new ProtobufMessage(writer.finish()).strings(1);
    expect(strings.length).toBe(1000);
    expect(strings.at(-1)).toBe('piece 999');
  });
});
