import { describe, expect, test } from 'vitest';
import { SLOT_LEASE_MS, StreamSlots } from '../../edge/stream-slots.ts';

describe('StreamSlots', () => {
  test('StreamSlots.hold() gives places up to the count, and another when one is given back', () => {
    const slots = new StreamSlots();
    const hold = (id: string) => slots.hold({ id, countMax: 2 }, 0);
    expect([hold('a'), hold('b'), hold('c')]).toEqual([true, true, false]);
    slots.release('a');
    expect([hold('c'), hold('a')]).toEqual([true, false]);
    expect(slots.count(0)).toBe(2);
  });

  test('StreamSlots.hold() keeps a place for whoever says so in time, and no longer', () => {
    const slots = new StreamSlots();
    const hold = (id: string, nowMs: number) => slots.hold({ id, countMax: 1 }, nowMs);
    expect(hold('a', 0)).toBe(true);
    expect(hold('a', SLOT_LEASE_MS - 1)).toBe(true);
    expect(hold('b', SLOT_LEASE_MS + 1)).toBe(false);
    expect(hold('b', 2 * SLOT_LEASE_MS - 1)).toBe(true);
    expect(hold('a', 2 * SLOT_LEASE_MS)).toBe(false);
  });

  test('StreamSlots.hold() counts the places of a token apart', () => {
    const slots = new StreamSlots();
    const hold = (id: string, token: string) =>
      slots.hold({ id, countMax: 8, token: { id: token, countMax: 2 } }, 0);
    expect([hold('a', 't'), hold('b', 't'), hold('c', 't'), hold('d', 'u')]).toEqual([
      true,
      true,
      false,
      true,
    ]);
  });
});
