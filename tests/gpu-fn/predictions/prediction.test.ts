import { describe, expect, it } from 'vitest';
import { Prediction, StopReason } from '../../../gpu-fn/predictions/prediction.ts';

function create(mode: 'sync' | 'async' | 'stream' = 'sync'): Prediction {
  return new Prediction({ id: 'p1', input: { seed: 7 } as never, mode, historyMax: 100 });
}

describe('Prediction', () => {
  it('ends once: a second end is an error, and late events are dropped', () => {
    const prediction = create();
    prediction.start();
    prediction.cancel();
    expect(() => prediction.succeed({ warnings: [], revision: '' })).toThrow('second end');
    expect(() => prediction.fail({ error: 'x', code: 'internal_error' })).toThrow('second end');
    prediction.log('late');
    prediction.output('late', '');
    prediction.metric('late', 1);
    prediction.preview({});
    expect(prediction.history.peek(1)).toMatchObject({ event: { name: 'completed' } });
    expect(prediction.history.peek(2)).toEqual({ type: 'end' });
  });

  it('may end before it has started', async () => {
    const prediction = create();
    prediction.fail({ error: 'too late', code: 'deadline_exceeded' });
    expect(await prediction.settled).toEqual({
      id: 'p1',
      status: 'failed',
      error: 'too late',
      code: 'deadline_exceeded',
      logs: '',
      metrics: {},
    });
  });

  it('keeps the first reason to stop', () => {
    const prediction = create();
    prediction.stop(new StopReason('canceled', 'first'));
    prediction.stop(new StopReason('failed', 'second'));
    expect(prediction.signal.reason.message).toBe('first');
  });

  it('bounds its logs', () => {
    const prediction = create();
    prediction.start();
    prediction.log('x'.repeat(131_072));
    prediction.log('y');
    expect(prediction.body().logs).toHaveLength(131_072);
  });

  it.each([
    ['stream', true],
    ['sync', false],
    ['async', false],
  ] as const)('created by %s: is it stopped when its last reader leaves? %s', (mode, stopped) => {
    const prediction = create(mode);
    const [one, two] = [prediction.subscribe(2), prediction.subscribe(2)];
    expect(prediction.subscribe(2)).toBeUndefined();
    one?.[Symbol.dispose]();
    one?.[Symbol.dispose]();
    expect(prediction.signal.aborted).toBe(false);
    two?.[Symbol.dispose]();
    expect(prediction.signal.aborted).toBe(stopped);
  });
});
