import { describe, expect, test } from 'vitest';
import type { ServiceError } from '#shared/errors.ts';
import { ACCEPTED, HEAD_HEADER, type JobEvent, type JobOrder } from '../../edge/job-protocol.ts';
import { type JobNamespace, openJob } from '../../edge/jobs.ts';

const order = { spec: {}, from: 0, fresh: false, inline: true } as unknown as JobOrder;
const completed: JobEvent = {
  type: 'completed',
  entry: { digest: 'd' } as never,
  timings: {},
  stored: true,
};
const preview: JobEvent = { type: 'preview', step: 1, steps: 4, image: 'x' };

function frame(event: JobEvent, id: number): string {
  const { type, ...data } = event;
  return `event: ${type}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`;
}

function answer(role: string, ...texts: string[]): Response {
  return new Response(texts.join(''), { headers: { [HEAD_HEADER]: JSON.stringify({ role }) } });
}

/** Job objects that answer one order after the other. */
function setUp(...answers: (Response | Error)[]) {
  const posted: JobOrder[] = [];
  const jobs: JobNamespace = {
    getByName: () => ({
      fetch: async (request) => {
        posted.push((await request.json()) as JobOrder);
        const next = answers.shift();
        if (next instanceof Error) throw next;
        return next!;
      },
    }),
  };
  const budgets: unknown[] = [];
  const controller = new AbortController();
  const open = () =>
    openJob(jobs, {
      order,
      name: 'k',
      signal: controller.signal,
      onBudget: (budget) => budgets.push(budget),
    });
  const types = async () => {
    const list: string[] = [];
    for await (const { type } of (await open()).items) list.push(type);
    return list;
  };
  const failure = () => types().then(String, (error: ServiceError) => error.code ?? error.message);
  return { posted, budgets, controller, open, types, failure };
}

describe('openJob()', () => {
  test('openJob() hands on what a follower gets, to the end', async () => {
    const { types } = setUp(
      answer('follower', ': keep-alive\n\n', frame(preview, 1), frame(completed, 2)),
    );
    expect(await types()).toEqual(['heartbeat', 'preview', 'completed']);
  });

  test('openJob() waits for a leader’s work to be taken', async () => {
    const text = `: keep-alive\n\n: ${ACCEPTED}\n\n`;
    const { types } = setUp(answer('leader', text, frame(completed, 1)));
    expect(await types()).toEqual(['accepted', 'completed']);
  });

  test('openJob() throws for a leader what the job failed with before it was taken', async () => {
    const failed: JobEvent = {
      type: 'failed',
      code: 'overloaded',
      detail: 'Busy.',
      retryAfterMs: 5,
    };
    const { open } = setUp(answer('leader', ': keep-alive\n\n', frame(failed, 1)));
    await expect(open()).rejects.toMatchObject({
      code: 'overloaded',
      detail: 'Busy.',
      retryAfterMs: 5,
    });
  });

  test('openJob() throws a refusal and tells of the budget', async () => {
    const budget = { remaining: 0, nextMs: 900, fullMs: 1000 };
    const failure = { code: 'rate_limited', detail: 'Slow down.', retryAfterMs: 900 };
    const { open, budgets } = setUp(Response.json({ failure, budget }, { status: 400 }));
    await expect(open()).rejects.toMatchObject({ code: 'rate_limited', retryAfterMs: 900 });
    expect(budgets).toEqual([budget]);
  });

  test('openJob() comes back once to a stream that was cut, with the last id it has', async () => {
    const { types, posted } = setUp(
      answer('follower', frame(preview, 1)),
      answer('follower', frame(completed, 2)),
    );
    expect(await types()).toEqual(['preview', 'completed']);
    expect(posted.map(({ from }) => from)).toEqual([0, 1]);
  });

  test('openJob() gives up on the second cut', async () => {
    const { failure } = setUp(answer('follower'), answer('follower'));
    expect(await failure()).toBe('upstream_lost');
  });

  test('openJob() asks a lost object once more, an overloaded one never', async () => {
    const lost = Object.assign(new Error('lost'), { remote: true });
    const again = setUp(lost, answer('follower', frame(completed, 1)));
    expect(await again.types()).toEqual(['completed']);
    const busy = setUp(Object.assign(new Error('busy'), { overloaded: true }), answer('follower'));
    expect(await busy.failure()).toBe('overloaded');
    expect(busy.posted).toHaveLength(1);
    const gone = setUp(lost, lost);
    expect(await gone.failure()).toBe('upstream_lost');
  });

  test('openJob() cancels the stream of a reader who leaves', async () => {
    let canceled = false;
    const stream = new ReadableStream({
      pull: () => new Promise(() => undefined),
      cancel: () => {
        canceled = true;
      },
    });
    const head = { headers: { [HEAD_HEADER]: '{"role":"follower"}' } };
    const { open, controller } = setUp(new Response(stream, head));
    const { items } = await open();
    const next = items.next();
    controller.abort(new Error('left'));
    await expect(next).rejects.toThrow('left');
    expect(canceled).toBe(true);
  });
});
