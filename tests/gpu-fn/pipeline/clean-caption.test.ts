import { describe, expect, it } from 'vitest';
import { cleanCaption, cleanOnce } from '../../../gpu-fn/pipeline/clean-caption.ts';

/** From the reference implementation. */
const VECTORS: readonly (readonly [input: string, output: string])[] = [
  [
    'A Small Cactus, with a happy face (in the Sahara desert).',
    'a small cactus, with a happy face in the sahara desert .',
  ],
  ['Visit https://foo.com/bar now', 'visit now'],
  ['photo by @john_doe &amp; friends', 'photo by friends'],
  ['<b>Bold</b> cat &lt;3', 'bold cat <3'],
  ['一只猫 a cat', 'a cat'],
  ['hello—world – test', 'hello-world - test'],
  ['#1 cat #12345 dog #1234 x', 'cat dog 1234 x'],
  ['IMG_2034.JPG of a cat', 'of a cat'],
  ['wow!!! ... so... ""nice""', 'wow!!! so "nice"'],
  ['this-is-my-cute-cat', 'this is my cute cat'],
  ['a-b-c cat', 'a-b-c cat'],
  ['8k, 4k, 1920x1080, 16:9', '8k, 4k, , 16:9'],
  ['abc123 ab1234cd 12ab34', ''],
  ['free shipping worldwide shipping! free download free', '!'],
  ['page 12 of book : chapter', 'of book: chapter'],
  ['"quoted prompt"', 'quoted prompt'],
  ["'.hidden", '. hidden'],
  ['cat,dog.bird/fish', 'cat, dog. bird fish'],
  ['35mm f2.8 photo', '35mm f2.8 photo'],
  ['(masterpiece:1.2), [best quality]', 'masterpiece:1.2 , best quality'],
  ['100% cotton+blue', '100% cotton blue'],
  ['a cat\\nwith hat', 'a cat with hat'],
  ['192.168.0.1 router', 'router'],
  ['click for more png image', ''],
  ['“smart” ‘quotes’ ﬁne ｆｕｌｌ', '"smart" \'quotes\' fine full'],
  ['word -', 'word'],
  [' cat_', 'cat'],
  ['..', ''],
];

describe('cleanCaption()', () => {
  it.each(VECTORS)('of %j is %j', (input, output) => {
    expect(cleanOnce(input).trim()).toBe(output);
    expect(cleanCaption(input)).toBe(output);
  });

  it.each([
    ['a cat from example.org/gallery and more', 'a cat from and more'],
    ['mail me@example.com soon', 'mail me soon'],
    ['%E2%98%83 snowman', '☃ snowman'],
    ['size 10×20.5 of 3 x 4', 'size of 3 x 4'],
    ['a &eacute; b &#233; c &#x110000;', 'a é b é c \ufffd'],
  ])('of %j is %j', (input, output) => {
    expect(cleanCaption(input)).toBe(output);
  });

  // Each makes an expression with backtracking take quadratic time: 10¹⁰ steps, many seconds.
  it.each([
    ['dots and letters', 'a.'],
    ['white space', ' '],
    ['white space before a dot', '      .'],
    ['digits in a word', '1'],
    ['letters and digits', 'a1'],
    ['a word without an extension', 'x'],
    ['open tags', '<a'],
    ['entities', '&amp'],
    ['worldwide', 'worldwide '],
    ['hosts', 'a-b.com.'],
    ['quotes', '\'"'],
  ])('takes no more than seconds for 100,000 characters of %s', (_, piece) => {
    const text = `z${piece.repeat(100_000 / piece.length)}é`;
    const start = process.cpuUsage();
    cleanCaption(text);
    const { user, system } = process.cpuUsage(start);
    expect(user + system).toBeLessThan(4_000_000); // microseconds
  });
});
