/** The Cog HTTP protocol, row by row, over real sockets. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ServiceError } from '#shared/errors.ts';
import { PICTURE_DATA_URI, PICTURE_SHA256 } from '../helpers/controlled-engine.ts';
import { type RunningFunction, startFunction } from '../helpers/gpu-function.ts';

let fn: RunningFunction;
beforeEach(async () => {
  fn = await startFunction();
});
afterEach(async () => {
  await fn[Symbol.asyncDispose]();
});

const JSON_TYPE = { 'Content-Type': 'application/json' };

function put(id: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${fn.origin}/predictions/${id}`, {
    method: 'PUT',
    headers: { ...JSON_TYPE, ...headers },
    body: JSON.stringify(body),
  });
}

describe('GET /', () => {
  it('names every path of the protocol', async () => {
    const response = await fetch(`${fn.origin}/`);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      cog_version: 'pixart-edge/0.1.0',
      docs_url: '/docs',
      openapi_url: '/openapi.json',
      shutdown_url: '/shutdown',
      healthcheck_url: '/health-check',
      predictions_url: '/predictions',
      predictions_idempotent_url: '/predictions/{prediction_id}',
      predictions_cancel_url: '/predictions/{prediction_id}/cancel',
    });
  });
});

describe('GET /health-check', () => {
  it.each([
    ['starting', 'STARTING'],
    ['ready', 'READY'],
    ['setup_failed', 'SETUP_FAILED'],
    ['unhealthy', 'UNHEALTHY'],
    ['defunct', 'DEFUNCT'],
  ] as const)('reports an engine that is %s as %s, always with 200', async (status, shown) => {
    fn.engine.status = status;
    const response = await fetch(`${fn.origin}/health-check`);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      status: shown,
      setup: { started_at: '2026-01-02T03:04:05.000Z' },
    });
  });

  it('says BUSY while every slot is taken, and READY again afterwards', async () => {
    const answer = fn.predict({ input: { prompt: 'a cat' } });
    const job = await fn.engine.nextJob();
    expect(await fn.healthStatus()).toBe('BUSY');
    job.finish();
    await answer;
    expect(await fn.healthStatus()).toBe('READY');
  });

  it('gives the reason of a failed set-up', async () => {
    fn.engine.status = 'setup_failed';
    const body = await (await fetch(`${fn.origin}/health-check`)).json();
    expect(body).toMatchObject({
      setup: { status: 'failed', logs: 'The model could not be loaded.\n' },
    });
  });

  it('answers HEAD without a body', async () => {
    const response = await fetch(`${fn.origin}/health-check`, { method: 'HEAD' });
    expect(response.status).toBe(200);
    expect(await response.text()).toBe('');
  });
});

describe('GET /model', () => {
  it('tells what is loaded', async () => {
    const body = await (await fetch(`${fn.origin}/model`)).json();
    expect(body).toMatchObject({ id: 'test/controlled', revision: 'ab'.repeat(32) });
  });

  it('answers 503 with Retry-After until a model is loaded', async () => {
    fn.engine.info = undefined;
    const response = await fetch(`${fn.origin}/model`);
    expect(response.status).toBe(503);
    expect(response.headers.get('Retry-After')).toBe('2');
    expect(await response.json()).toMatchObject({ status: 'failed', code: 'model_unavailable' });
  });
});

describe('POST /predictions, synchronous', () => {
  it('answers 200 with the finished prediction', async () => {
    const answer = fn.predict({ id: 'p1', input: { prompt: 'a cat', seed: 7 } });
    const job = await fn.engine.nextJob();
    for (const i of [0, 1, 2, 3]) job.step(i);
    job.finish({ warnings: [{ code: 'unknown_words', message: 'zzz is not known' }] });
    const response = await answer;
    expect(response.status).toBe(200);
    const body = (await response.json()) as Record<string, unknown>;
    expect(body).toMatchObject({
      id: 'p1',
      status: 'succeeded',
      output: [PICTURE_DATA_URI],
      output_sha256: [PICTURE_SHA256],
      seed: 7,
      revision: 'ab'.repeat(32),
      warnings: [{ code: 'unknown_words', message: 'zzz is not known' }],
      metrics: {
        text_time: 0.001,
        denoise_time: 0.02,
        vae_time: 0.003,
        image_time: 0.004,
        prompt_tokens: 5,
      },
    });
    expect(body.metrics).toHaveProperty('predict_time');
    expect(body.metrics).toHaveProperty('queue_time');
    expect(body.logs).toMatch(/^ 25%\|.+\| 1\/4 \[00:00<00:00\]\n/);
    expect(body.logs).toContain('100%|██████████| 4/4 [00:00<00:00]\n');
    expect(body.logs).toContain('warning unknown_words: zzz is not known\n');
  });

  it('hands the input over with the defaults of the model', async () => {
    const answer = fn.predict({ input: { prompt: 'a cat', unheard_of: 1 } });
    const job = await fn.engine.nextJob();
    expect(job.job).toEqual({
      previewCount: 0,
      input: {
        prompt: 'a cat',
        negative_prompt: '',
        seed: 2_147_483_648,
        width: 64,
        height: 64,
        num_inference_steps: 4,
        guidance_scale: 0,
        scheduler: 'lcm',
        num_outputs: 1,
        output_format: 'png',
        output_quality: 90,
        size_policy: 'fit',
        background: 'auto',
        strength: 0.8,
        metadata: 'minimal',
        control_scale: 1,
        return_edges: false,
        loras: [],
        decoder: 'fast',
      },
    });
    job.finish();
    expect(await (await answer).json()).toMatchObject({ id: expect.stringMatching(/^pred_/) });
  });

  it('answers 200 with status failed when the work fails, without its inner text', async () => {
    const answer = fn.predict({ input: { prompt: 'a cat' } });
    (await fn.engine.nextJob()).fail(new Error('secret /srv/path'));
    const response = await answer;
    expect(response.status).toBe(200);
    const body = await response.json();
    expect(body).toMatchObject({
      status: 'failed',
      error: 'The picture could not be drawn.',
      code: 'internal_error',
    });
    expect(JSON.stringify(body)).not.toContain('secret');
    expect(body).not.toHaveProperty('output');
  });

  it('tells the code of a failure that has one', async () => {
    const answer = fn.predict({ input: { prompt: 'a cat' } });
    (await fn.engine.nextJob()).fail(new ServiceError('out_of_memory', { detail: 'Too large.' }));
    expect(await (await answer).json()).toMatchObject({
      status: 'failed',
      error: 'Too large.',
      code: 'out_of_memory',
    });
  });

  it('answers 200 with status canceled when it was canceled', async () => {
    const answer = fn.predict({ id: 'p1', input: { prompt: 'a cat' } });
    await fn.engine.nextJob();
    await fetch(`${fn.origin}/predictions/p1/cancel`, { method: 'POST' });
    const response = await answer;
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ id: 'p1', status: 'canceled' });
  });

  it('refuses an id that is running with 409', async () => {
    const first = fn.predict({ id: 'p1', input: { prompt: 'a cat' } });
    const job = await fn.engine.nextJob();
    const second = await fn.predict({ id: 'p1', input: { prompt: 'a dog' } });
    expect(second.status).toBe(409);
    expect(await second.json()).toMatchObject({ status: 'failed' });
    job.finish();
    await first;
    expect(fn.engine.startedCount).toBe(1);
  });

  it('answers 503 in Cog’s shape while the model is not ready', async () => {
    fn.engine.status = 'starting';
    const response = await fn.predict({ input: { prompt: 'a cat' } });
    expect(response.status).toBe(503);
    expect(response.headers.get('Retry-After')).toBe('2');
    expect(await response.json()).toEqual({
      error: 'The model is not ready.',
      status: 'failed',
      code: 'model_unavailable',
    });
  });
});

describe('POST /predictions, asynchronous', () => {
  it('answers 202 at once and goes on without the caller', async () => {
    const response = await fn.predict(
      { id: 'p1', input: { prompt: 'a cat' } },
      { Prefer: 'respond-async' },
    );
    expect(response.status).toBe(202);
    expect(await response.json()).toEqual({ id: 'p1', status: 'starting' });
    const job = await fn.engine.nextJob();
    expect(job.options.signal.aborted).toBe(false);
    job.finish();
  });

  it('takes only the exact preference', async () => {
    const answer = fn.predict({ input: { prompt: 'a cat' } }, { Prefer: 'respond-async, wait=5' });
    (await fn.engine.nextJob()).finish();
    expect((await answer).status).toBe(200);
  });
});

describe('PUT /predictions/{id}', () => {
  it('creates the prediction under its id', async () => {
    const answer = put('p1', { input: { prompt: 'a cat' } });
    (await fn.engine.nextJob()).finish();
    const response = await answer;
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ id: 'p1', status: 'succeeded' });
  });

  it('answers 202 with the state of a prediction that runs, and starts nothing', async () => {
    const first = put('p1', { input: { prompt: 'a cat' } });
    const job = await fn.engine.nextJob();
    job.step(0);
    const second = await put('p1', { input: { prompt: 'something else' } });
    expect(second.status).toBe(202);
    expect(await second.json()).toMatchObject({
      id: 'p1',
      status: 'processing',
      input: { prompt: 'a cat' },
      logs: expect.stringContaining('1/4'),
    });
    job.finish();
    await first;
    expect(fn.engine.startedCount).toBe(1);
  });

  it('refuses a body id that differs from the path with 422', async () => {
    const response = await put('p1', { id: 'p2', input: { prompt: 'a cat' } });
    expect(response.status).toBe(422);
    expect(await response.json()).toEqual({
      detail: [
        {
          loc: ['body', 'id'],
          msg: 'prediction ID must match the ID supplied in the URL',
          type: 'value_error',
        },
      ],
    });
  });

  it('accepts the same id in path and body', async () => {
    const answer = put('p1', { id: 'p1', input: { prompt: 'a cat' } });
    (await fn.engine.nextJob()).finish();
    expect((await answer).status).toBe(200);
  });
});

describe('POST /predictions/{id}/cancel', () => {
  const cancel = (id: string) => fetch(`${fn.origin}/predictions/${id}/cancel`, { method: 'POST' });

  it('answers 200 {} and stops the work', async () => {
    const answer = fn.predict({ id: 'p1', input: { prompt: 'a cat' } });
    const job = await fn.engine.nextJob();
    const response = await cancel('p1');
    expect([response.status, await response.json()]).toEqual([200, {}]);
    await job.stopped();
    await answer;
  });

  it('answers 404 {} for an id that does not run', async () => {
    const response = await cancel('nobody');
    expect([response.status, await response.json()]).toEqual([404, {}]);
  });

  it('takes a prediction out of the queue before it costs anything', async () => {
    const first = fn.predict({ input: { prompt: 'a cat' } });
    const job = await fn.engine.nextJob();
    const second = fn.predict({ id: 'waiting', input: { prompt: 'a dog' } });
    await expect.poll(() => fn.gpuFunction.service.runningCount).toBe(2);
    await cancel('waiting');
    expect(await (await second).json()).toMatchObject({ status: 'canceled' });
    job.finish();
    await first;
    expect(fn.engine.startedCount).toBe(1);
  });
});

describe('POST /shutdown', () => {
  it('answers 200 {} and then asks for the shutdown', async () => {
    const asked = Promise.withResolvers<void>();
    await using other = await startFunction({ deps: { onShutdown: () => asked.resolve() } });
    const response = await fetch(`${other.origin}/shutdown`, { method: 'POST' });
    expect([response.status, await response.json()]).toEqual([200, {}]);
    await asked.promise;
  });
});

describe('validation', () => {
  it('lists every field that does not hold, with its place', async () => {
    const response = await fn.predict({
      input: { prompt: 5, num_inference_steps: 101, output_format: 'svg' },
    });
    expect(response.status).toBe(422);
    const { detail } = (await response.json()) as { detail: { loc: string[]; type: string }[] };
    expect(detail.map(({ loc }) => loc.join('.'))).toEqual([
      'body.input.prompt',
      'body.input.num_inference_steps',
      'body.input.output_format',
    ]);
    expect(fn.engine.startedCount).toBe(0);
  });

  it('says that the prompt is required', async () => {
    const response = await fn.predict({});
    expect(await response.json()).toEqual({
      detail: [
        { loc: ['body', 'input', 'prompt'], msg: 'Field required', type: 'value_error.missing' },
      ],
    });
  });

  it.each([
    ['num_inference_steps', 9, 'must be an integer from 1 to 8 with lcm, not 9'],
    ['scheduler', 'ddim', 'must be one of lcm, not "ddim"'],
    ['guidance_scale', 5, 'must be a number from 0 to 4.5, not 5'],
  ])('refuses a %s that the loaded model cannot do', async (field, value, msg) => {
    const response = await fn.predict({ input: { prompt: 'a cat', [field]: value } });
    expect(response.status).toBe(422);
    expect(await response.json()).toEqual({
      detail: [{ loc: ['body', 'input', field], msg, type: 'value_error' }],
    });
  });

  it('refuses an inexact size only under size_policy exact', async () => {
    const exact = { prompt: 'a cat', width: 128, height: 64, size_policy: 'exact' };
    const response = await fn.predict({ input: exact });
    expect(response.status).toBe(422);
    expect(await response.text()).toContain('it draws 64x64, 96x64');
    const answer = fn.predict({ input: { ...exact, size_policy: 'fit' } });
    (await fn.engine.nextJob()).finish();
    expect((await answer).status).toBe(200);
  });

  it('refuses transparency in jpeg', async () => {
    const response = await fn.predict({
      input: { prompt: 'a cat', background: 'transparent', output_format: 'jpeg' },
    });
    expect(response.status).toBe(422);
    expect(await response.text()).toContain('jpeg holds no transparency');
  });

  it.each([
    ['webhook', 'ftp://example.org/x'],
    ['webhook', 'http://user:secret@example.org/x'],
    ['webhook_events_filter', ['bad']],
    ['context', { a: 1 }],
    ['id', 'a b/c'],
    ['input', [1]],
  ])('refuses %s = %j', async (field, value) => {
    const response = await fn.predict({ input: { prompt: 'a cat' }, [field]: value });
    expect(response.status).toBe(422);
    const { detail } = (await response.json()) as { detail: { loc: string[] }[] };
    expect(detail[0]?.loc.slice(0, 2)).toEqual(['body', field]);
  });
});

describe('answers', () => {
  it('carry the request id of the caller, or one of their own', async () => {
    const given = await fetch(`${fn.origin}/`, { headers: { 'X-Request-Id': 'req-12345678' } });
    expect(given.headers.get('X-Request-Id')).toBe('req-12345678');
    const made = await fetch(`${fn.origin}/`, { headers: { 'X-Request-Id': 'no spaces' } });
    expect(made.headers.get('X-Request-Id')).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('are not stored by anybody', async () => {
    const response = await fetch(`${fn.origin}/health-check`);
    expect(response.headers.get('Cache-Control')).toBe('no-store');
    expect(response.headers.get('X-Content-Type-Options')).toBe('nosniff');
  });
});

describe('log', () => {
  it('has one line for a finished prediction, and no prompt in it', async () => {
    const answer = fn.predict(
      { id: 'p1', input: { prompt: 'a very private cat' } },
      { 'X-Request-Id': 'req-12345678' },
    );
    (await fn.engine.nextJob()).finish();
    await answer;
    await expect.poll(() => fn.logLines.length).toBe(1);
    expect(fn.logLines[0]).toMatchObject({
      level: 'info',
      event: 'prediction.completed',
      request_id: 'req-12345678',
      prediction_id: 'p1',
      mode: 'sync',
      status: 'succeeded',
      prompt_hash: '09f54572628316cc',
      prompt_tokens: 5,
      denoise_ms: 20,
    });
    expect(JSON.stringify(fn.logLines)).not.toContain('private');
  });

  it('has the cause of a failure that is ours, which the caller does not see', async () => {
    const answer = fn.predict({ input: { prompt: 'a cat' } });
    (await fn.engine.nextJob()).fail(new Error('shapes disagree'));
    await answer;
    await expect.poll(() => fn.logLines.length).toBe(1);
    expect(fn.logLines[0]).toMatchObject({
      level: 'error',
      event: 'prediction.completed',
      code: 'internal_error',
      error: expect.stringContaining('shapes disagree'),
    });
  });
});

describe('GET /metrics', () => {
  it('counts executions, outcomes and pictures', async () => {
    fn.engine.automatic = true;
    await fn.predict({ input: { prompt: 'a cat' } });
    await fn.predict({ input: { prompt: 'a dog', output_format: 'webp' } });
    expect(await fn.metric('predictions_started_total')).toBe(2);
    expect(await fn.metric('predictions_total{status="succeeded"}')).toBe(2);
    expect(await fn.metric('pictures_total{format="webp"}')).toBe(1);
    expect(await fn.metric('queue_depth')).toBe(0);
  });

  it('counts refusals by code', async () => {
    await fn.predict({ input: {} });
    expect(await fn.metric('requests_refused_total{code="invalid_parameter"}')).toBe(1);
    expect(await fn.metric('predictions_started_total')).toBe(0);
  });
});
