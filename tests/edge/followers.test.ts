import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Followers } from '../../edge/followers.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const bytes = (text: string) => new TextEncoder().encode(text);
const plain = { inline: false, from: 0 };

function setUp() {
  let isEmpty = 0;
  const followers = new Followers({
    onEmpty: () => {
      isEmpty += 1;
    },
    now: Date.now,
  });
  return { followers, emptied: () => isEmpty };
}

/** Reads what has been sent so far and is waiting. */
async function read(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  count: number,
): Promise<string> {
  let text = '';
  for (let i = 0; i < count; i += 1) {
    const { done, value } = await reader.read();
    if (done) return `${text}|end`;
    text += new TextDecoder().decode(value).replace(': keep-alive\n\n', '♥');
  }
  return text;
}

describe('Followers', () => {
  test('Followers send a heartbeat, the backlog, then everything', async () => {
    const { followers } = setUp();
    const { stream } = followers.add(plain, [bytes('a'), bytes('b')]);
    const reader = stream.getReader();
    followers.send(bytes('c'), 3);
    expect(await read(reader, 4)).toBe('♥abc');
    vi.advanceTimersByTime(1000);
    followers.finish(bytes('z'));
    expect(await read(reader, 3)).toBe('♥z|end');
    expect(followers.size).toBe(0);
  });

  test('Followers give each its own copy of a frame', async () => {
    const { followers } = setUp();
    const readers = [1, 2, 3].map(() => followers.add(plain, []).stream.getReader());
    followers.finish(bytes('frame'));
    expect(await Promise.all(readers.map((reader) => read(reader, 3)))).toEqual(
      Array(3).fill('♥frame|end'),
    );
  });

  test('Followers spare each what it has already', async () => {
    const { followers } = setUp();
    const reader = followers.add({ inline: false, from: 2 }, []).stream.getReader();
    for (const seq of [1, 2, 3]) followers.send(bytes(String(seq)), seq);
    followers.finish(bytes('z'));
    expect(await read(reader, 4)).toBe('♥3z|end');
  });

  test('Followers finish some and go on with the others', async () => {
    const { followers } = setUp();
    const first = followers.add({ inline: true, from: 0 }, []).stream.getReader();
    const second = followers.add(plain, []).stream.getReader();
    followers.finish(bytes('inline'), ({ inline }) => inline);
    expect(await read(first, 3)).toBe('♥inline|end');
    expect(followers.size).toBe(1);
    followers.finish(bytes('later'));
    expect(await read(second, 3)).toBe('♥later|end');
  });

  test('Followers tell when the last has left by itself, once, and not when they are finished', async () => {
    const { followers, emptied } = setUp();
    const [a, b] = [followers.add(plain, []), followers.add(plain, [])];
    await a.stream.cancel();
    expect(emptied()).toBe(0);
    b.leave();
    b.leave();
    expect(emptied()).toBe(1);
    followers.add(plain, []);
    followers.finish(bytes('z'));
    expect(emptied()).toBe(1);
  });

  test('Followers stop their clock when nobody is left', async () => {
    const { followers } = setUp();
    const { stream } = followers.add(plain, []);
    expect(vi.getTimerCount()).toBe(1);
    await stream.cancel();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('Followers drop a reader that reads nothing for fifteen seconds, and only that one', async () => {
    const { followers, emptied } = setUp();
    const idle = followers.add(plain, []).stream.getReader();
    const reader = followers.add(plain, []).stream.getReader();
    for (let second = 0; second < 20; second += 1) {
      vi.advanceTimersByTime(1000);
      await read(reader, 1);
    }
    expect([followers.size, emptied()]).toEqual([1, 0]);
    await expect(idle.read()).rejects.toThrow('does not read');
  });

  test('Followers drop a reader that lets a megabyte pile up', async () => {
    const { followers } = setUp();
    const { stream } = followers.add(plain, []);
    followers.send(new Uint8Array(600_000), 1);
    expect(followers.size).toBe(1);
    followers.send(new Uint8Array(600_000), 2);
    expect(followers.size).toBe(0);
    await expect(stream.getReader().read()).rejects.toThrow('does not read');
  });

  test('Followers are full at 2,048', () => {
    const { followers } = setUp();
    for (let i = 0; i < 2047; i += 1) followers.add(plain, []);
    expect(followers.isFull).toBe(false);
    followers.add(plain, []);
    expect(followers.isFull).toBe(true);
  });
});
