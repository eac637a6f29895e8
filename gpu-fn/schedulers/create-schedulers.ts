/** The table of samplers by the name they have in `ModelInfo.samplers`. */
import { createDdimScheduler } from './ddim.ts';
import { createDdpmScheduler } from './ddpm.ts';
import { createDpmSolverScheduler } from './dpm-solver.ts';
import { createIddpmScheduler } from './iddpm.ts';
import { createLcmScheduler } from './lcm.ts';
import { createSaSolverScheduler } from './sa-solver.ts';
import { type Scheduler, SchedulerError } from './scheduler.ts';

const FACTORIES: Readonly<Record<string, (config: unknown) => Scheduler>> = {
  lcm: createLcmScheduler,
  'dpm-solver++': createDpmSolverScheduler,
  'sa-solver': (config) => createSaSolverScheduler(config),
  ddim: (config) => createDdimScheduler(config),
  ddpm: createDdpmScheduler,
  iddpm: createIddpmScheduler,
};

/**
 * @param names   samplers that the model declares
 * @param config  its `scheduler_config.json`, which all of them read
 * @throws {SchedulerError} when a name or a key of the configuration is not known here
 */
export function createSchedulers(
  names: readonly string[],
  config: unknown,
): ReadonlyMap<string, Scheduler> {
  return new Map(
    names.map((name) => {
      const create = Object.hasOwn(FACTORIES, name) ? FACTORIES[name] : undefined;
      if (create === undefined) {
        const known = Object.keys(FACTORIES).join(', ');
        throw new SchedulerError(`the model declares the sampler ${name}; known are ${known}`);
      }
      return [name, create(config)] as const;
    }),
  );
}
