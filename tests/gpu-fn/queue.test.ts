import { describe, expect, it } from 'vitest';
import { JobQueue } from '../../gpu-fn/queue.ts';

const never = new AbortController().signal;

describe('JobQueue', () => {
  it('admits slots and places to wait, not one more', () => {
    const queue = new JobQueue({ slotCount: 2, queueDepthMax: 3 });
    const tickets = Array.from({ length: 6 }, () => queue.enter());
    expect(tickets.map((ticket) => ticket !== undefined)).toEqual([
      true,
      true,
      true,
      true,
      true,
      false,
    ]);
  });

  it('gives the place back with the ticket', () => {
    const queue = new JobQueue({ slotCount: 1, queueDepthMax: 0 });
    const ticket = queue.enter();
    expect(queue.enter()).toBeUndefined();
    ticket?.[Symbol.dispose]();
    ticket?.[Symbol.dispose]();
    expect(queue.enter()).toBeDefined();
    expect(queue.enter()).toBeUndefined();
  });

  it('serves those who wait in the order of their coming', async () => {
    const queue = new JobQueue({ slotCount: 1, queueDepthMax: 3 });
    const order: string[] = [];
    const first = await queue.enter()!.permit(never);
    const waiting = ['b', 'c', 'd'].map(async (name) => {
      using permit = await queue.enter()!.permit(never);
      order.push(name);
      return permit;
    });
    expect([queue.runningCount, queue.depth]).toEqual([1, 3]);
    first[Symbol.dispose]();
    await Promise.all(waiting);
    expect(order).toEqual(['b', 'c', 'd']);
    expect([queue.runningCount, queue.depth]).toEqual([0, 0]);
  });

  it('lets an aborted one go without disturbing the others', async () => {
    const queue = new JobQueue({ slotCount: 1, queueDepthMax: 2 });
    const first = await queue.enter()!.permit(never);
    const controller = new AbortController();
    const leaving = queue.enter()!;
    const left = leaving.permit(controller.signal);
    const staying = queue.enter()!.permit(never);
    controller.abort(new Error('left'));
    await expect(left).rejects.toThrow('left');
    leaving[Symbol.dispose]();
    expect(queue.depth).toBe(1);
    first[Symbol.dispose]();
    await staying;
    expect([queue.runningCount, queue.depth]).toEqual([1, 0]);
  });

  it('keeps the count right when a slot is handed to one who aborts in the same turn', async () => {
    const queue = new JobQueue({ slotCount: 1, queueDepthMax: 1 });
    const first = await queue.enter()!.permit(never);
    const controller = new AbortController();
    const ticket = queue.enter()!;
    const permit = ticket.permit(controller.signal);
    first[Symbol.dispose]();
    controller.abort(new Error('late'));
    (await permit)[Symbol.dispose]();
    expect([queue.runningCount, queue.depth]).toEqual([0, 0]);
  });

  it('measures how long a permit was waited for', async () => {
    let nowMs = 0;
    const queue = new JobQueue({ slotCount: 1, queueDepthMax: 1, now: () => nowMs });
    const first = await queue.enter()!.permit(never);
    const second = queue.enter()!.permit(never);
    nowMs = 250;
    first[Symbol.dispose]();
    expect(first.waitedMs).toBe(0);
    expect((await second).waitedMs).toBe(250);
  });
});
