import { describe, expect, test } from 'vitest';
import { DeletedPictures, type Deletion } from '../../edge/deleted-pictures.ts';

function setUp() {
  const state = { nowMs: 1_000_000, asked: [] as number[], list: [] as Deletion[], fails: false };
  const waiting: Promise<unknown>[] = [];
  const deleted = new DeletedPictures({
    now: () => state.nowMs,
    since: async (atMs) => {
      state.asked.push(atMs);
      if (state.fails) throw new Error('out of reach');
      return state.list.filter((deletion) => deletion.atMs >= atMs);
    },
  });
  const usable = () => deleted.areCopiesUsable((work) => void waiting.push(work));
  return { state, deleted, usable, settle: () => Promise.all(waiting.splice(0)) };
}

describe('DeletedPictures', () => {
  test('DeletedPictures knows what was deleted after it was stored, not what was stored after', async () => {
    const { state, deleted, usable } = setUp();
    state.list = [{ name: 'img/a', atMs: 999_000 }];
    expect(await usable()).toBe(true);
    expect(deleted.has('img/a', 998_000)).toBe(true);
    expect(deleted.has('img/a', 999_001)).toBe(false);
    expect(deleted.has('img/b', 0)).toBe(false);
  });

  test('DeletedPictures asks nobody for two seconds, then behind the back of a request', async () => {
    const { state, deleted, usable, settle } = setUp();
    await usable();
    state.nowMs += 1999;
    await usable();
    expect(state.asked).toHaveLength(1);
    state.nowMs += 1;
    state.list = [{ name: 'img/a', atMs: state.nowMs }];
    expect([await usable(), await usable()]).toEqual([true, true]);
    await settle();
    expect(state.asked).toHaveLength(2);
    expect(deleted.has('img/a', 0)).toBe(true);
  });

  test('DeletedPictures waits for the list once it is ten seconds old', async () => {
    const { state, deleted, usable } = setUp();
    await usable();
    state.nowMs += 10_000;
    state.list = [{ name: 'img/a', atMs: state.nowMs }];
    expect(await usable()).toBe(true);
    expect(deleted.has('img/a', 0)).toBe(true);
  });

  test('DeletedPictures trusts no copy while the list is out of reach', async () => {
    const { state, usable } = setUp();
    state.fails = true;
    expect(await usable()).toBe(false);
    state.fails = false;
    expect(await usable()).toBe(true);
    state.fails = true;
    state.nowMs += 9999;
    expect(await usable()).toBe(true);
    state.nowMs += 1;
    expect(await usable()).toBe(false);
  });

  test('DeletedPictures asks only for what is new, and forgets what no copy can be older than', async () => {
    const { state, deleted, usable } = setUp();
    state.list = [{ name: 'img/a', atMs: 900_000 }];
    await usable();
    state.nowMs += 3_700_000;
    await usable();
    expect(state.asked).toEqual([-5000, 895_000]);
    state.list = [];
    state.nowMs += 10_000;
    await usable();
    expect(deleted.has('img/a', 0)).toBe(false);
  });
});
