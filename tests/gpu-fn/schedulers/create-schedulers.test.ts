import { describe, expect, it } from 'vitest';
import { createSchedulers } from '../../../gpu-fn/schedulers/create-schedulers.ts';
import { SchedulerError } from '../../../gpu-fn/schedulers/scheduler.ts';

describe('createSchedulers()', () => {
  it('createSchedulers() makes one scheduler for each name', () => {
    const schedulers = createSchedulers(['lcm'], { prediction_type: 'v_prediction' });
    expect([...schedulers.keys()]).toEqual(['lcm']);
    expect(schedulers.get('lcm')?.schedule(2).timesteps).toEqual([999, 499]);
  });

  it.each(['euler', 'toString'])(
    'createSchedulers() refuses %s and lists what there is',
    (name) => {
      expect(() => createSchedulers([name], {})).toThrow(SchedulerError);
      expect(() => createSchedulers([name], {})).toThrow(`sampler ${name}; known are lcm`);
    },
  );
});
