/** Checks of a result, in Node; `job.test.ts` has each wrong result over HTTP. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Progress, progressLine } from '#shared/progress-line.ts';
import { execute } from '../../edge/execution.ts';
import type { JobPreview, JobSpec } from '../../edge/job-protocol.ts';
import { CogUpstream } from '../../edge/upstreams/cog.ts';
import { RetryBudget } from '../../edge/upstreams/retry-budget.ts';
import { REVISION } from '../helpers/model.ts';
import {
  pictureOf,
  send,
  startUpstream,
  toDataUri,
  type UpstreamStandIn,
} from '../helpers/upstream.ts';

let standIn: UpstreamStandIn;
beforeAll(async () => {
  standIn = await startUpstream();
});
afterAll(() => standIn.close());

const spec = {
  cacheKey: 'k',
  input: { prompt: 'a', seed: 3, width: 64, height: 48, output_format: 'png' },
  revision: REVISION,
  previews: 3,
  deadlineMs: 20_000,
  requestId: 'req_1',
} as unknown as JobSpec;

function run() {
  const previews: JobPreview[] = [];
  const progress: Progress[] = [];
  let accepted = 0;
  const drawing = execute(spec, {
    id: 'p1',
    background: () => undefined,
    deadlineMs: 20_000,
    upstreams: new CogUpstream({
      name: 'function',
      retryBudget: new RetryBudget({ now: Date.now }),
      url: standIn.url,
      signingKey: undefined,
      idleMs: 10_000,
      fetch: fetch as never,
      now: Date.now,
      random: () => 0,
    }),
    now: () => 1_700_000_000_000,
    signal: new AbortController().signal,
    onAccepted: () => {
      accepted += 1;
    },
    onPreview: (preview) => previews.push(preview),
    onProgress: (step) => progress.push(step),
  });
  return { drawing, previews, progress, accepted: () => accepted };
}

describe('execute()', () => {
  test('execute() hands over the picture with everything that the store keeps of it', async () => {
    const { drawing, accepted } = run();
    const { entry, timings, bytes, base64 } = await drawing;
    const expected = pictureOf(spec.input);
    expect(Buffer.from(bytes).equals(Buffer.from(expected))).toBe(true);
    expect(base64).toBe(Buffer.from(expected).toString('base64'));
    expect(entry).toMatchObject({
      format: 'png',
      bytes: expected.length,
      width: 64,
      height: 48,
      seed: 3,
      createdMs: 1_700_000_000_000,
      revision: REVISION,
      promptTokens: 7,
      warnings: [],
    });
    expect(timings).toEqual({ queue: 1, text: 9, denoise: 60, vae: 20, image: 5 });
    expect(accepted()).toBe(1);
  });

  test('execute() reads the progress out of the log of the function', async () => {
    standIn.behaviour = {
      during: (response) => {
        for (const done of [1, 2]) {
          const data = progressLine({ done, total: 2, elapsedMs: 5 });
          send(response, 'log', { source: 'stdout', data });
        }
        send(response, 'log', { source: 'stdout', data: 'loading' });
      },
    };
    const { drawing, progress } = run();
    await drawing;
    standIn.behaviour = {};
    expect(progress).toEqual([
      { done: 1, total: 2 },
      { done: 2, total: 2 },
    ]);
  });

  test('execute() passes previews on, but none that is too large', async () => {
    const small = toDataUri(pictureOf({ width: 16, height: 16, seed: 1, prompt: '' }));
    standIn.behaviour = {
      during: (response) => {
        const image = `data:image/png;base64,${'A'.repeat(21_900)}`;
        send(response, 'preview', { index: 0, step: 1, steps: 4, image: small });
        send(response, 'preview', { index: 0, step: 2, steps: 4, image });
      },
    };
    const { drawing, previews } = run();
    await drawing;
    expect(previews).toEqual([{ step: 1, steps: 4, image: small }]);
    standIn.behaviour = {};
  });

  test('execute() takes the function’s word for a failure only with a code of ours', async () => {
    const outcome = async (members: object) => {
      standIn.behaviour = { result: (completed) => ({ ...completed, output: null, ...members }) };
      return run().drawing.catch(({ code, detail }) => ({ code, detail }));
    };
    expect(await outcome({ status: 'failed', code: 'out_of_memory', error: 'Too large.' })).toEqual(
      {
        code: 'out_of_memory',
        detail: 'Too large.',
      },
    );
    expect(await outcome({ status: 'failed', code: 'toString', error: 'at /srv/x' })).toMatchObject(
      {
        code: 'upstream_invalid_response',
        detail: 'The model server answered with something unusable.',
      },
    );
    expect(await outcome({ status: 'canceled' })).toMatchObject({ code: 'upstream_lost' });
    expect(await outcome({ status: 'processing' })).toMatchObject({
      code: 'upstream_invalid_response',
    });
    standIn.behaviour = {};
  });
});
