import { describe, expect, it } from 'vitest';
import { PickledTensor, unpickle } from '../../../../gpu-fn/convert/pth/unpickle.ts';

/** Opcodes written as latin-1 text. */
const read = (text: string) => unpickle(Buffer.from(text, 'latin1'), 'x.pth');
const unicode = (text: string) => `X${String.fromCharCode(text.length)}\0\0\0${text}`;
const STORAGE = `(${unicode('storage')}ctorch\nFloatStorage\n${unicode('0')}${unicode('cpu')}K\x08tQ`;
const TENSOR = `ctorch._utils\n_rebuild_tensor_v2\n(${STORAGE}K\x02K\x02K\x03\x86K\x03K\x01\x86\x89}tR`;

describe('unpickle()', () => {
  it('reads dictionaries, lists, texts and numbers', () => {
    const value = read(`\x80\x02}(${unicode('a')}K\x05${unicode('b')}](K\x01Me\x01eu.`);
    expect(value).toEqual(
      new Map<unknown, unknown>([
        ['a', 5],
        ['b', [1, 357]],
      ]),
    );
  });

  it('reads where a tensor lies', () => {
    const tensor = read(`\x80\x02${TENSOR}.`);
    expect(tensor).toBeInstanceOf(PickledTensor);
    expect(tensor).toMatchObject({ offset: 2, shape: [2, 3], strides: [3, 1] });
    expect(tensor).toMatchObject({ storage: { dtype: 'F32', key: '0', elements: 8 } });
  });

  it('reads a dictionary again that it remembered', () => {
    expect(read('}q\x05h\x05.')).toEqual(new Map());
  });

  it.each([
    ['a function of Python', 'cos\nsystem\n(X\x02\0\0\0lstR.'],
    ['a function of Python, by the newer opcode', `${unicode('builtins')}${unicode('eval')}\x93.`],
    ['an own class', 'c__main__\nConfig\n)\x81.'],
    ['an old instance', '(i__main__\nConfig\n.'],
    ['a call of a storage', 'ctorch\nFloatStorage\n)R.'],
    [
      'a storage of another kind',
      `(${unicode('storage')}ctorch\nFloatStorage\n${unicode('../x')}${unicode('cpu')}K\x08tQ.`,
    ],
    [
      'a negative shape',
      TENSOR.replace('K\x02K\x03\x86', 'J\xff\xff\xff\xffK\x03\x86').concat('.'),
    ],
    ['an end in the middle', 'X\xff\xff\xff\x7fa'],
    ['no end', '}'],
    ['nothing', ''],
    ['a value that is not there', '.'],
    ['items without a list', 'K\x01K\x02a.'],
    ['a key without a value', '}(K\x01u.'],
    ['a memo that was not kept', 'h\x07.'],
    ['a huge integer', `\x8a\xff${'\x01'.repeat(255)}.`],
    ['a later protocol', '\x80\x09.'],
    ['an extension', '\x82\x01.'],
  ])('refuses %s', (_what, text) => {
    expect(() => read(text)).toThrow(/which is not read here/);
  });
});
