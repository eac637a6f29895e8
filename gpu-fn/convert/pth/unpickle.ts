/**
 * Reads the pickle inside a `torch.save` archive without running anything.
 *
 * A pickle is a program that may call any function of Python. This reader knows the opcodes that dictionaries of
 * tensors need and six names; whatever else a file asks for is refused by name.
 *
 * @see Python's `pickletools`, protocol 2; torch `serialization.py`, `_rebuild_tensor_v2`
 */
import { CheckpointError } from '../../safetensors/errors.ts';
import type { SafetensorsDtype } from '../../safetensors/safetensors.ts';

/** A tensor of the archive: where its numbers are, not the numbers. */
export class PickledTensor {
  readonly storage: PickledStorage;
  /** first element, counted from the start of the storage */
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];

  constructor(
    storage: PickledStorage,
    {
      offset,
      shape,
      strides,
    }: { offset: number; shape: readonly number[]; strides: readonly number[] },
  ) {
    this.storage = storage;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
  }
}

export interface PickledStorage {
  readonly kind: 'storage';
  readonly dtype: SafetensorsDtype;
  /** name of the member below `data/` */
  readonly key: string;
  readonly elements: number;
}

export type Pickled =
  | null
  | boolean
  | number
  | string
  | PickledTensor
  | PickledStorage
  | Pickled[]
  | Map<Pickled, Pickled>
  | Callable;

interface Callable {
  readonly kind: 'callable';
  readonly name: string;
}

const STORAGE_DTYPES: Readonly<Record<string, SafetensorsDtype>> = {
  'torch FloatStorage': 'F32',
  'torch HalfStorage': 'F16',
  'torch BFloat16Storage': 'BF16',
  'torch CharStorage': 'I8',
  'torch ByteStorage': 'U8',
  'torch LongStorage': 'I64',
};
const DICTIONARY = 'collections OrderedDict';
const REBUILD_TENSOR = 'torch._utils _rebuild_tensor_v2';
const REBUILD_PARAMETER = 'torch._utils _rebuild_parameter';
const ALLOWED = new Set([
  ...Object.keys(STORAGE_DTYPES),
  DICTIONARY,
  REBUILD_TENSOR,
  REBUILD_PARAMETER,
]);

export const PICKLE_BYTES_MAX = 32 * 2 ** 20;
const OPERATIONS_MAX = 4_000_000;
const RANK_MAX = 8;
const MARK = Symbol('mark');

/**
 * @param path  for messages
 * @throws {CheckpointError} when the pickle asks for anything beyond dictionaries, lists, texts, numbers and tensors
 */
export function unpickle(bytes: Buffer, path: string): Pickled {
  return new Unpickler(bytes, path).run();
}

class Unpickler {
  readonly #bytes: Buffer;
  readonly #path: string;
  readonly #stack: (Pickled | typeof MARK)[] = [];
  readonly #memo = new Map<number, Pickled>();
  #at = 0;

  constructor(bytes: Buffer, path: string) {
    this.#bytes = bytes;
    this.#path = path;
  }

  run(): Pickled {
    for (let operations = 0; operations < OPERATIONS_MAX; operations += 1) {
      const code = this.#take(1).readUInt8();
      if (code === 0x2e) return this.#pop();
      this.#step(code);
    }
    throw this.#refuse(`more than ${OPERATIONS_MAX} operations`);
  }

  #step(code: number): void {
    switch (code) {
      case 0x80: {
        const protocol = this.#take(1).readUInt8();
        if (protocol > 5) throw this.#refuse(`pickle protocol ${protocol}`);
        return;
      }
      case 0x95: // FRAME: a length that only readers of streams need
        this.#take(8);
        return;
      case 0x28:
        this.#stack.push(MARK);
        return;
      case 0x4e:
        this.#push(null);
        return;
      case 0x88:
        this.#push(true);
        return;
      case 0x89:
        this.#push(false);
        return;
      case 0x4b:
        this.#push(this.#take(1).readUInt8());
        return;
      case 0x4d:
        this.#push(this.#take(2).readUInt16LE());
        return;
      case 0x4a:
        this.#push(this.#take(4).readInt32LE());
        return;
      case 0x8a:
        this.#push(this.#long());
        return;
      case 0x47:
        this.#push(this.#take(8).readDoubleBE());
        return;
      case 0x58:
        this.#push(this.#text(this.#take(4).readUInt32LE()));
        return;
      case 0x8c:
        this.#push(this.#text(this.#take(1).readUInt8()));
        return;
      case 0x5d:
        this.#push([]);
        return;
      case 0x29:
        this.#push([]);
        return;
      case 0x7d:
        this.#push(new Map());
        return;
      case 0x85:
      case 0x86:
      case 0x87: {
        const count = code - 0x84;
        const items = Array.from({ length: count }, () => this.#pop()).reverse();
        this.#push(items);
        return;
      }
      case 0x74:
        this.#push(this.#popToMark());
        return;
      case 0x61: {
        const item = this.#pop();
        this.#list().push(item);
        return;
      }
      case 0x65: {
        const items = this.#popToMark();
        const list = this.#list();
        for (const item of items) list.push(item);
        return;
      }
      case 0x73: {
        const value = this.#pop();
        const key = this.#pop();
        this.#map().set(key, value);
        return;
      }
      case 0x75: {
        const items = this.#popToMark();
        const map = this.#map();
        if (items.length % 2 !== 0) throw this.#refuse('a key without a value');
        for (let i = 0; i < items.length; i += 2) map.set(items[i]!, items[i + 1]!);
        return;
      }
      case 0x71:
        this.#memo.set(this.#take(1).readUInt8(), this.#top());
        return;
      case 0x72:
        this.#memo.set(this.#take(4).readUInt32LE(), this.#top());
        return;
      case 0x94:
        this.#memo.set(this.#memo.size, this.#top());
        return;
      case 0x68:
        this.#push(this.#recall(this.#take(1).readUInt8()));
        return;
      case 0x6a:
        this.#push(this.#recall(this.#take(4).readUInt32LE()));
        return;
      case 0x63:
        this.#push(this.#callable(this.#line(), this.#line()));
        return;
      case 0x93: {
        const name = this.#pop();
        const module = this.#pop();
        this.#push(this.#callable(String(module), String(name)));
        return;
      }
      case 0x51:
        this.#push(this.#storage(this.#pop()));
        return;
      case 0x52: {
        const args = this.#pop();
        this.#push(this.#call(this.#pop(), args));
        return;
      }
      case 0x62: {
        // State of a dictionary: torch keeps version numbers there.
        this.#pop();
        this.#map();
        return;
      }
      default:
        throw this.#refuse(`opcode 0x${code.toString(16)} at byte ${this.#at - 1}`);
    }
  }

  #callable(module: string, name: string): Callable {
    const full = `${module} ${name}`;
    if (!ALLOWED.has(full)) throw this.#refuse(JSON.stringify(full.slice(0, 80).replace(' ', '.')));
    return { kind: 'callable', name: full };
  }

  /** ('storage', type, key, location, elements) */
  #storage(id: Pickled): PickledStorage {
    const [word, type, key, , elements] = Array.isArray(id) ? id : [];
    const dtype = isCallable(type) ? STORAGE_DTYPES[type.name] : undefined;
    if (
      word !== 'storage' ||
      dtype === undefined ||
      typeof key !== 'string' ||
      !/^\d{1,9}$/.test(key) ||
      !isSize(elements)
    ) {
      throw this.#refuse('a malformed storage');
    }
    return { kind: 'storage', dtype, key, elements };
  }

  #call(callable: Pickled, args: Pickled): Pickled {
    if (!isCallable(callable) || !Array.isArray(args)) throw this.#refuse('a call of no function');
    if (callable.name === DICTIONARY && args.length === 0) return new Map();
    if (callable.name === REBUILD_PARAMETER && args[0] instanceof PickledTensor) return args[0];
    if (callable.name !== REBUILD_TENSOR) throw this.#refuse(`a call of ${callable.name}`);
    const [storage, offset, shape, strides] = args;
    if (!isStorage(storage) || !isSize(offset) || !isSizes(shape) || !isSizes(strides)) {
      throw this.#refuse('a malformed tensor');
    }
    return new PickledTensor(storage, { offset, shape, strides });
  }

  #long(): number {
    const bytes = this.#take(this.#take(1).readUInt8());
    if (bytes.length > 8) throw this.#refuse(`an integer of ${bytes.length} bytes`);
    return bytes.length === 0 ? 0 : signedLong(bytes);
  }

  #text(length: number): string {
    return this.#take(length).toString('utf8');
  }

  #line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at);
    if (end === -1 || end - this.#at > 256) throw this.#refuse('a name without end');
    const line = this.#bytes.toString('utf8', this.#at, end);
    this.#at = end + 1;
    return line;
  }

  #take(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw this.#refuse('an end in the middle of a value');
    const bytes = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }

  #push(value: Pickled): void {
    this.#stack.push(value);
  }

  #pop(): Pickled {
    const value = this.#stack.pop();
    if (value === undefined || value === MARK) throw this.#refuse('a value that is not there');
    return value;
  }

  #top(): Pickled {
    const value = this.#stack.at(-1);
    if (value === undefined || value === MARK) throw this.#refuse('a value that is not there');
    return value;
  }

  #popToMark(): Pickled[] {
    const at = this.#stack.lastIndexOf(MARK);
    if (at === -1) throw this.#refuse('a list without beginning');
    const items = this.#stack.splice(at);
    return items.slice(1) as Pickled[];
  }

  #list(): Pickled[] {
    const list = this.#top();
    if (!Array.isArray(list)) throw this.#refuse('items for no list');
    return list;
  }

  #map(): Map<Pickled, Pickled> {
    const map = this.#top();
    if (!(map instanceof Map)) throw this.#refuse('members for no dictionary');
    return map;
  }

  #recall(index: number): Pickled {
    const value = this.#memo.get(index);
    if (value === undefined) throw this.#refuse('a value that was not kept');
    return value;
  }

  #refuse(what: string): CheckpointError {
    return new CheckpointError(`${this.#path}: the pickle holds ${what}, which is not read here`);
  }
}

function signedLong(bytes: Buffer): number {
  const value = bytes.readIntLE(0, Math.min(bytes.length, 6));
  if (bytes.length <= 6) return value;
  const padded = Buffer.alloc(8, bytes.at(-1)! >= 0x80 ? 0xff : 0);
  bytes.copy(padded);
  return Number(padded.readBigInt64LE());
}

function isCallable(value: Pickled | undefined): value is Callable {
  return (
    value !== null && typeof value === 'object' && 'kind' in value && value.kind === 'callable'
  );
}

function isStorage(value: Pickled | undefined): value is PickledStorage {
  return value !== null && typeof value === 'object' && 'kind' in value && value.kind === 'storage';
}

function isSize(value: Pickled | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isSizes(value: Pickled | undefined): value is number[] {
  return Array.isArray(value) && value.length <= RANK_MAX && value.every(isSize);
}
