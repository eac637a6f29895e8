/**
 * Claim: a resident adapter is switched to within a tenth of a request, and a new one is there within a second.
 *
 *     node bench/switch-adapters.ts --bundle DIR [--rank 16]
 *
 * Writes random adapters for every module of the model into a temporary folder, and draws with them in turn.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { AdapterStore } from '../gpu-fn/adapters/adapter-store.ts';
import type { AppliedLora } from '../gpu-fn/pipeline/components.ts';
import { loadPipeline } from '../gpu-fn/pipeline/load-pipeline.ts';
import { loadBundle } from '../gpu-fn/runtime/bundle.ts';
import { writeLora } from '../tests/helpers/lora-file.ts';

const ROUNDS = 5;
const { values: flags } = parseArgs({
  options: { bundle: { type: 'string' }, rank: { type: 'string', default: '16' } },
});
if (flags.bundle === undefined) throw new Error('--bundle must name a converted model');

const folder = await mkdtemp(join(tmpdir(), 'switch-adapters-'));
try {
  const { modules } = new AdapterStore({ bundle: await loadBundle(flags.bundle) });
  for (const name of ['a', 'b', 'c', 'd']) {
    writeLora(join(folder, `${name}.safetensors`), { name, rank: Number(flags.rank), modules });
  }
  await using pipeline = await loadPipeline(flags.bundle, { adapters: folder });
  const [width, height] = pipeline.info.native_size;
  const draw = async (loras: readonly AppliedLora[]) => {
    const started = performance.now();
    await pipeline.generate({
      prompt: 'a red apple',
      width,
      height,
      numInferenceSteps: pipeline.info.samplers[pipeline.info.default_sampler]!.steps.default,
      guidanceScale: pipeline.info.guidance.default,
      seed: 0,
      sampler: pipeline.info.default_sampler,
      sizePolicy: 'exact',
      background: 'auto',
      loras,
    });
    return performance.now() - started;
  };
  const only = (id: string) => [{ id, weight: 0.5 }];
  await draw([]);
  report('without adapters', await median(() => draw([])));
  report('first adapter of all', await draw(only('a')));
  report('same adapter again', await median(() => draw(only('a'))));
  report('new adapter', await draw(only('b')));
  let turn = 0;
  const switched = () => {
    turn += 1;
    return draw(only(turn % 2 === 0 ? 'b' : 'a'));
  };
  report('resident, switched each time', await median(switched));
  report('two at once', await draw([...only('c'), ...only('d')]));
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function median(measure: () => Promise<number>): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) times.push(await measure());
  return times.toSorted((a, b) => a - b)[Math.floor(ROUNDS / 2)]!;
}

function report(what: string, ms: number): void {
  console.log(`${what.padEnd(32)} ${ms.toFixed(0).padStart(7)} ms`);
}
