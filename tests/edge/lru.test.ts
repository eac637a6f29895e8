import { describe, expect, test } from 'vitest';
import { Lru } from '../../edge/lru.ts';

describe('Lru', () => {
  test('Lru forgets what was used least recently', () => {
    const lru = new Lru<number>({ countMax: 2 });
    lru.set('a', 1);
    lru.set('b', 2);
    lru.get('a');
    lru.set('c', 3);
    expect([lru.get('a'), lru.get('b'), lru.get('c')]).toEqual([1, undefined, 3]);
  });

  test('Lru bounds the weight as well as the count', () => {
    const lru = new Lru<string>({ countMax: 100, weightMax: 10 });
    lru.set('a', 'a', 6);
    lru.set('b', 'b', 4);
    expect([lru.size, lru.weight]).toEqual([2, 10]);
    lru.set('c', 'c', 1);
    expect([lru.get('a'), lru.weight]).toEqual([undefined, 5]);
    lru.set('huge', 'x', 11);
    expect([lru.get('huge'), lru.get('b')]).toEqual([undefined, 'b']);
  });

  test('Lru counts a replaced value once', () => {
    const lru = new Lru<string>({ countMax: 2, weightMax: 10 });
    lru.set('a', 'x', 5);
    lru.set('a', 'y', 7);
    expect([lru.size, lru.weight, lru.get('a')]).toEqual([1, 7, 'y']);
    lru.delete('a');
    lru.delete('a');
    expect([lru.size, lru.weight]).toEqual([0, 0]);
  });
});
