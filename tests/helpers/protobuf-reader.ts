/**
 * A generic Protocol Buffers reader for tests: any message becomes its fields in order. Shares no code with the
 * writer that it checks.
 */
export type WireValue =
  | { readonly wire: 'varint'; readonly value: bigint }
  | { readonly wire: 'fixed32'; readonly value: number }
  | { readonly wire: 'bytes'; readonly value: Uint8Array };

export class ProtobufMessage {
  readonly #fields: readonly (readonly [number, WireValue])[];

  constructor(bytes: Uint8Array) {
    this.#fields = readAll(bytes);
  }

  get fieldNumbers(): number[] {
    return this.#fields.map(([field]) => field);
  }

  bytes(field: number): Uint8Array[] {
    return this.#of(field, 'bytes').map(({ value }) => value as Uint8Array);
  }

  strings(field: number): string[] {
    return this.bytes(field).map((bytes) =>
      new TextDecoder('utf-8', { fatal: true }).decode(bytes),
    );
  }

  string(field: number): string {
    return this.strings(field)[0] ?? '';
  }

  messages(field: number): ProtobufMessage[] {
    return this.bytes(field).map((bytes) => new ProtobufMessage(bytes));
  }

  message(field: number): ProtobufMessage {
    return this.messages(field)[0] ?? new ProtobufMessage(new Uint8Array(0));
  }

  /** Signed 64-bit, as int64 fields are. */
  integers(field: number): number[] {
    return this.#of(field, 'varint').map(({ value }) => Number(BigInt.asIntN(64, value as bigint)));
  }

  integer(field: number): number | undefined {
    return this.integers(field)[0];
  }

  floats(field: number): number[] {
    return this.#of(field, 'fixed32').map(({ value }) => value as number);
  }

  #of(field: number, wire: WireValue['wire']): WireValue[] {
    return this.#fields
      .filter(([number]) => number === field)
      .map(([, value]) => {
        if (value.wire !== wire) throw new Error(`field ${field} is ${value.wire}, not ${wire}`);
        return value;
      });
  }
}

function readAll(bytes: Uint8Array): [number, WireValue][] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined || shift > 63n) throw new Error('broken varint');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const fields: [number, WireValue][] = [];
  while (at < bytes.length) {
    const tag = Number(varint());
    const field = Math.floor(tag / 8);
    switch (tag % 8) {
      case 0:
        fields.push([field, { wire: 'varint', value: varint() }]);
        break;
      case 2: {
        const length = Number(varint());
        if (at + length > bytes.length) throw new Error(`field ${field} ends past the message`);
        fields.push([field, { wire: 'bytes', value: bytes.subarray(at, at + length) }]);
        at += length;
        break;
      }
      case 5:
        fields.push([field, { wire: 'fixed32', value: view.getFloat32(at, true) }]);
        at += 4;
        break;
      default:
        throw new Error(`wire type ${tag % 8}`);
    }
  }
  return fields;
}
