/**
 * A JSON reader (RFC 8259) for bodies that strangers send.
 *
 * It refuses what `JSON.parse` lets through or cannot bound: members that appear twice, deep nesting, wide objects and
 * arrays. Objects have no prototype, so `__proto__` is a member like any other.
 */
import { ServiceError } from './errors.ts';
import { JSON_DEPTH_MAX, JSON_ITEMS_MAX, JSON_MEMBERS_MAX } from './limits.ts';

export interface JsonLimits {
  readonly depthMax: number;
  readonly membersMax: number;
  readonly itemsMax: number;
}

const LIMITS: JsonLimits = {
  depthMax: JSON_DEPTH_MAX,
  membersMax: JSON_MEMBERS_MAX,
  itemsMax: JSON_ITEMS_MAX,
};

export type JsonObject = { [name: string]: unknown };

/**
 * Text of UTF-8 bytes. A byte-order mark stays, and is then refused by `parseJson`.
 *
 * @throws {ServiceError} `invalid_utf8`
 */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new ServiceError('invalid_utf8', { detail: 'The body is not valid UTF-8.', cause });
  }
}

/** @throws {ServiceError} `malformed_json`, `duplicate_member`, `json_too_complex` */
export function parseJson(text: string, limits: JsonLimits = LIMITS): unknown {
  return new Reader(text, limits).document();
}

/** @throws {ServiceError} as `parseJson`, and `malformed_json` when the document is not an object */
export function parseJsonObject(text: string, limits: JsonLimits = LIMITS): JsonObject {
  const value = parseJson(text, limits);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ServiceError('malformed_json', { detail: 'The body must be a JSON object.' });
  }
  return value as JsonObject;
}

/** JSON with the members of every object in order, so that the order they came in does not matter. */
export function sortedJson(value: unknown): string {
  return JSON.stringify(value, (_name, member: unknown) =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}

const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const LITERALS = [
  ['true', true],
  ['false', false],
  ['null', null],
] as const;

class Reader {
  readonly #text: string;
  readonly #limits: JsonLimits;
  #at = 0;

  constructor(text: string, limits: JsonLimits) {
    this.#text = text;
    this.#limits = limits;
  }

  document(): unknown {
    this.#space();
    const value = this.#value(0);
    this.#space();
    if (this.#at < this.#text.length) throw this.#malformed();
    return value;
  }

  #value(depth: number): unknown {
    const first = this.#text[this.#at];
    if (first === '{') return this.#object(depth + 1);
    if (first === '[') return this.#array(depth + 1);
    if (first === '"') return this.#string();
    for (const [word, value] of LITERALS) {
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return value;
      }
    }
    return Number(this.#match(NUMBER));
  }

  #object(depth: number): JsonObject {
    this.#deeper(depth);
    const object: JsonObject = Object.create(null);
    let count = 0;
    this.#at += 1;
    this.#space();
    if (this.#take('}')) return object;
    for (;;) {
      const name = this.#string();
      if (name in object) {
        throw new ServiceError('duplicate_member', {
          detail: `The member ${JSON.stringify(name.slice(0, 64).toWellFormed())} appears twice.`,
        });
      }
      count += 1;
      if (count > this.#limits.membersMax) {
        throw tooComplex(`an object has more than ${this.#limits.membersMax} members`);
      }
      this.#space();
      if (!this.#take(':')) throw this.#malformed();
      this.#space();
      object[name] = this.#value(depth);
      this.#space();
      if (this.#take('}')) return object;
      if (!this.#take(',')) throw this.#malformed();
      this.#space();
    }
  }

  #array(depth: number): unknown[] {
    this.#deeper(depth);
    const items: unknown[] = [];
    this.#at += 1;
    this.#space();
    if (this.#take(']')) return items;
    for (;;) {
      if (items.length === this.#limits.itemsMax) {
        throw tooComplex(`an array has more than ${this.#limits.itemsMax} items`);
      }
      items.push(this.#value(depth));
      this.#space();
      if (this.#take(']')) return items;
      if (!this.#take(',')) throw this.#malformed();
      this.#space();
    }
  }

  #deeper(depth: number): void {
    if (depth > this.#limits.depthMax) {
      throw tooComplex(`it is nested deeper than ${this.#limits.depthMax} levels`);
    }
  }

  /** Finds the closing quote; `JSON.parse` decodes what is between and refuses bad escapes and control characters. */
  #string(): string {
    const start = this.#at;
    if (this.#text[start] !== '"') throw this.#malformed();
    let end = start + 1;
    for (;;) {
      const quote = this.#text.indexOf('"', end);
      if (quote < 0) {
        this.#at = this.#text.length;
        throw this.#malformed();
      }
      let backslashes = 0;
      while (this.#text[quote - 1 - backslashes] === '\\') backslashes += 1;
      end = quote + 1;
      if (backslashes % 2 === 0) break;
    }
    try {
      const value = JSON.parse(this.#text.slice(start, end)) as string;
      this.#at = end;
      return value;
    } catch (cause) {
      throw this.#malformed(cause);
    }
  }

  #space(): void {
    this.#match(SPACE);
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const token = pattern.exec(this.#text)?.[0];
    if (token === undefined) throw this.#malformed();
    this.#at += token.length;
    return token;
  }

  #malformed(cause?: unknown): ServiceError {
    const where =
      this.#at >= this.#text.length ? 'it ends too early' : `unexpected text at offset ${this.#at}`;
    return new ServiceError('malformed_json', {
      detail: `The body is not valid JSON: ${where}.`,
      cause,
    });
  }
}

function tooComplex(reason: string): ServiceError {
  return new ServiceError('json_too_complex', { detail: `The JSON is refused: ${reason}.` });
}
