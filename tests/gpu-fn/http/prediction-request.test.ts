import { describe, expect, it } from 'vitest';
import { parsePredictionRequest } from '../../../gpu-fn/http/prediction-request.ts';

function parse(body: object, headers: Record<string, string> = {}, pathId?: string) {
  const all: Record<string, string> = { 'Content-Type': 'application/json', ...headers };
  return parsePredictionRequest(new TextEncoder().encode(JSON.stringify(body)), {
    header: (name) => all[name],
    ...(pathId !== undefined && { pathId }),
  });
}

const INPUT = { input: { prompt: 'a cat' } };

describe('parsePredictionRequest()', () => {
  it('takes null members as absent ones', () => {
    const parsed = parse({ ...INPUT, id: null, webhook: null, context: null });
    expect(parsed).toMatchObject({ id: undefined, webhook: undefined });
  });

  it.each([
    [{}, false, false],
    [{ Prefer: 'respond-async' }, false, true],
    [{ Prefer: 'wait=5' }, false, false],
    [{ Accept: 'text/event-stream' }, true, false],
    [{ Accept: 'application/json, text/event-stream;q=0.5' }, true, false],
    [{ Accept: 'text/event-stream', Prefer: 'respond-async' }, true, false],
    [{ Accept: '*/*' }, false, false],
  ])('with %j: stream %s, async %s', (headers, wantsStream, wantsAsync) => {
    expect(parse(INPUT, headers)).toMatchObject({ wantsStream, wantsAsync });
  });

  it('counts previews for streams only', () => {
    const stream = { Accept: 'text/event-stream' };
    expect(parse(INPUT, { ...stream, 'Pixart-Previews': '3' }).previewCount).toBe(3);
    expect(parse(INPUT, { ...stream, 'Pixart-Previews': '100' }).previewCount).toBe(100);
    expect(parse(INPUT, { 'Pixart-Previews': '3' }).previewCount).toBe(0);
  });

  it('keeps the trace for webhooks, unless it is absurdly long', () => {
    const { webhook } = parse(
      { ...INPUT, webhook: 'https://example.org/x' },
      { traceparent: '00-a-b-01', tracestate: 'x'.repeat(513) },
    );
    expect(webhook?.traceHeaders).toEqual({ traceparent: '00-a-b-01' });
    expect([...(webhook?.events ?? [])]).toEqual(['start', 'output', 'logs', 'completed']);
  });

  it('takes the id of the path', () => {
    expect(parse(INPUT, {}, 'p1').id).toBe('p1');
    expect(() => parse({ ...INPUT, id: 'p2' }, {}, 'p1')).toThrow('must match the ID');
  });

  it('takes an id of 128 characters, not of 129', () => {
    expect(parse({ ...INPUT, id: 'a'.repeat(128) }).id).toHaveLength(128);
    expect(() => parse({ ...INPUT, id: 'a'.repeat(129) })).toThrow('body.id');
  });
});
