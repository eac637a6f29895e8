/** The table of samplers by the name they have in `ModelInfo.samplers`. */
import { createLcmScheduler } from './lcm.ts';
import { type Scheduler, SchedulerError } from './scheduler.ts';

const FACTORIES: Readonly<Record<string, (config: unknown) => Scheduler>> = {
  lcm: createLcmScheduler,
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
