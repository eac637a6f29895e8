/** The Cog runner: its Python tests against the real Node process, and its inputs against our schema. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { predictionInput } from '#shared/schemas/prediction-input.ts';
import { makeTinyBundle } from '../helpers/tiny-bundle.ts';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const RUN_PY = here('../../gpu-fn/cog/run.py');
const python = spawnSync('python3', ['--version']).status === 0;
if (!python) process.stdout.write('python3 is missing: the Cog runner is not tested here\n');

describe('cog/run.py', () => {
  it.skipIf(!python)(
    'draws, refuses, stops and ends as its Python tests say',
    { timeout: 180_000 },
    async () => {
      await using bundle = await makeTinyBundle();
      const { status, stderr } = spawnSync('python3', [here('./cog/test_run.py')], {
        encoding: 'utf8',
        env: {
          PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
          BUNDLE: bundle.folder,
          RUN_PY,
          PYTHONDONTWRITEBYTECODE: '1',
        },
      });
      expect(stderr).toMatch(/Ran 8 tests[\s\S]*OK/);
      expect(status).toBe(0);
    },
  );

  it('has the inputs of the schema', () => {
    const text = readFileSync(RUN_PY, 'utf8');
    const parameters = [...text.matchAll(/^ {8}(\w+): [^=]+ = Input\(/gm)].map(([, name]) => name);
    const { properties } = z.toJSONSchema(predictionInput, { io: 'input' });
    expect(parameters).toEqual(Object.keys(properties ?? {}));
  });
});
