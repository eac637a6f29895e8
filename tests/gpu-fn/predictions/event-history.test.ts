import { describe, expect, it } from 'vitest';
import { EventHistory } from '../../../gpu-fn/predictions/event-history.ts';

const event = (n: number) => ({ name: 'log', data: { n } });

describe('EventHistory', () => {
  it('gives each event by its position, and nothing before it has happened', () => {
    const history = new EventHistory(10);
    history.append(event(0));
    expect(history.peek(0)).toEqual({ type: 'event', event: event(0), position: 0 });
    expect(history.peek(1)).toBeUndefined();
  });

  it('keeps as many events as its capacity and counts the lost ones', () => {
    const history = new EventHistory(2);
    for (const n of [0, 1, 2]) history.append(event(n));
    expect(history.peek(0)).toEqual({ type: 'lost', skippedCount: 1 });
    expect(history.peek(1)).toMatchObject({ type: 'event', event: event(1) });
    expect(history.peek(2)).toMatchObject({ type: 'event', event: event(2) });
  });

  it('ends after the last event, and takes no further one', () => {
    const history = new EventHistory(2);
    history.append(event(0));
    history.end();
    expect(history.peek(0)?.type).toBe('event');
    expect(history.peek(1)).toEqual({ type: 'end' });
    expect(() => history.append(event(1))).toThrow('after the terminal one');
  });

  it('tells those who wait that something happened', async () => {
    const history = new EventHistory(2);
    const { news } = history;
    history.append(event(0));
    await news;
    const { news: next } = history;
    history.end();
    await next;
  });
});
