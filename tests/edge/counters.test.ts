import { describe, expect, test } from 'vitest';
import { Counters, type Series, toText } from '../../edge/counters.ts';
import { findRoute } from '../../edge/route-table.ts';

function setUp() {
  const state = { nowMs: 0, fails: false, sent: [] as Series[] };
  const counters = new Counters({
    send: async (series) => {
      if (state.fails) throw new Error('the object is moving');
      state.sent.push(series);
    },
    now: () => state.nowMs,
  });
  const count = (path: string, method = 'GET') =>
    counters.count({
      route: findRoute(path),
      method,
      status: 200,
      totalMs: 15,
      outcomes: ['hit', 'miss'],
    });
  return { state, counters, count };
}

describe('Counters', () => {
  test('Counters.count() sums by route, not by path, and by methods that there are', async () => {
    const { state, counters, count } = setUp();
    count('/v1/models/a');
    count('/v1/models/b');
    count('/nowhere', 'BREW');
    await counters.flush();
    expect(state.sent[0]).toMatchObject({
      'edge_requests_total{route="/v1/models/*",method="GET",status="200"}': 2,
      'edge_requests_total{route="other",method="other",status="200"}': 1,
      'edge_pictures_total{outcome="hit"}': 3,
      'edge_request_duration_seconds_bucket{route="other",le="0.02"}': 1,
      'edge_request_duration_seconds_count{route="other"}': 1,
    });
    expect(Object.keys(state.sent[0]!)).not.toContain(
      'edge_request_duration_seconds_bucket{route="other",le="0.005"}',
    );
  });

  test('Counters.flushIfDue() hands over every ten seconds, and keeps what could not be handed over', async () => {
    const { state, counters, count } = setUp();
    const work: Promise<unknown>[] = [];
    const flush = () => counters.flushIfDue((it) => void work.push(it));
    count('/healthz');
    state.fails = true;
    flush();
    await Promise.all(work);
    state.fails = false;
    state.nowMs = 9999;
    flush();
    expect(work).toHaveLength(1);
    state.nowMs = 10_000;
    flush();
    await Promise.all(work);
    expect(state.sent).toHaveLength(1);
    expect(state.sent[0]).toMatchObject({
      'edge_requests_total{route="/healthz",method="GET",status="200"}': 1,
    });
  });
});

test('toText() is what Prometheus reads', () => {
  expect(
    toText({
      'edge_errors_total{code="overloaded"}': 2,
      'edge_request_duration_seconds_sum{route="/i/*"}': 0.5,
    }),
  ).toBe(
    [
      '# HELP edge_request_duration_seconds Time to the head of the answer, by route',
      '# TYPE edge_request_duration_seconds histogram',
      'edge_request_duration_seconds_sum{route="/i/*"} 0.5',
      '# HELP edge_errors_total Answers that are errors, by code',
      '# TYPE edge_errors_total counter',
      'edge_errors_total{code="overloaded"} 2',
      '',
    ].join('\n'),
  );
});
