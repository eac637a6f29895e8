/** Clients in Chromium, on a page of another origin than the service: real Worker, real preflights. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { launchChromium } from '../helpers/chromium.ts';
import { type RunningEdge, startEdge } from '../helpers/edge.ts';
import { pictureOf, send, toDataUri } from '../helpers/upstream.ts';
import { serveWebPage, type WebPage } from '../helpers/web-page.ts';
import type { Actions } from './client-page.ts';

/** Headers that clients in use add to their requests, those of pages among them. */
const CLIENT_HEADERS = [
  ...['authorization', 'content-type', 'accept', 'prefer', 'cancel-after', 'idempotency-key'],
  ...['cache-control', 'if-none-match', 'last-event-id', 'range', 'user-agent', 'x-request-id'],
  ...['traceparent', 'tracestate', 'baggage', 'openai-organization', 'openai-project'],
  ...['openai-beta', 'x-stainless-lang', 'x-stainless-package-version', 'x-stainless-os'],
  ...['x-stainless-arch', 'x-stainless-runtime', 'x-stainless-runtime-version'],
  ...['x-stainless-retry-count', 'x-stainless-timeout', 'x-stainless-helper-method'],
  ...['x-fal-target-url', 'x-fal-queue-priority', 'x-fal-runner-hint', 'x-fal-request-timeout'],
  'x-fal-object-lifecycle-preference',
];
const VALUES: Record<string, string> = {
  'content-type': 'application/json',
  'cache-control': 'no-store',
  traceparent: `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`,
};

let browser: Browser;
let web: WebPage;
let edge: RunningEdge;
let page: Page;
let complaints: string[];

beforeAll(async () => {
  [browser, web] = await Promise.all([launchChromium(), serveWebPage('tests/page/client-page.ts')]);
  edge = await startEdge({ bindings: { CORS_ORIGINS: web.origin } });
}, 240_000);

afterAll(async () => {
  await browser?.close();
  await web?.[Symbol.asyncDispose]();
  await edge?.[Symbol.asyncDispose]();
});

beforeEach(async () => {
  edge.upstream.behaviour = {};
  complaints = [];
  page = await open(web.origin);
});

afterEach(() => page.close());

async function open(origin: string): Promise<Page> {
  const opened = await browser.newPage();
  opened.setDefaultTimeout(30_000);
  opened.on('pageerror', (error) => complaints.push(error.message));
  await opened.goto(origin);
  await opened.waitForFunction('globalThis.actions !== undefined');
  return opened;
}

/** Runs one of the page's actions there. */
function act<Name extends keyof Actions>(
  name: Name,
  argument: Parameters<Actions[Name]>[0],
  on = page,
): Promise<Awaited<ReturnType<Actions[Name]>>> {
  return on.evaluate(`actions.${name}(${JSON.stringify(argument)})`);
}

let prompts = 0;
const newPrompt = () => `a picture for a page, number ${prompts++}`;
const target = () => ({ url: edge.url, key: edge.key });
const PREVIEW = toDataUri(pictureOf({ width: 16, height: 16, seed: 1, prompt: '' }));
const received = (prompt: string) =>
  edge.upstream.received.filter(({ input }) => input.prompt === prompt);

/** Shows one preview, held back until `show` where that is asked for; `finish` lets it go on to the picture. */
function drawSlowly({ isHeld = false } = {}) {
  const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  if (!isHeld) first.resolve();
  edge.upstream.behaviour = {
    during: async (response) => {
      await first.promise;
      send(response, 'preview', { index: 0, step: 1, steps: 4, image: PREVIEW });
      await second.promise;
    },
  };
  return { show: first.resolve, finish: second.resolve };
}

describe('a page of another origin', () => {
  it.each(['the SDK', 'a stream of the SDK', 'openai 7', 'openai 6', 'ai 7', 'ai 6'])(
    'draws with %s',
    async (client) => {
      const prompt = newPrompt();
      const drawn = await act('draw', { ...target(), client, prompt });
      expect(drawn).toMatch(/^iVBORw0KGgo/);
      expect(received(prompt)).toHaveLength(1);
    },
  );

  it('may send every header that clients send', async () => {
    const headers: Record<string, string> = {};
    for (const name of CLIENT_HEADERS) headers[name] = VALUES[name] ?? 'a-value';
    headers.authorization = `Bearer ${edge.key}`;
    const body = JSON.stringify({ prompt: newPrompt() });
    const answer = await act('request', {
      url: `${edge.url}/v1/images/generations`,
      init: { method: 'POST', headers, body },
    });
    expect(answer.status).toBe(200);
  });

  it('reads the headers that clients read', async () => {
    const { headers } = await act('request', {
      url: `${edge.url}/v1/images/generations`,
      init: {
        method: 'POST',
        headers: { Authorization: `Bearer ${edge.key}`, 'Content-Type': 'application/json' },
        body: JSON.stringify({ prompt: newPrompt(), unheard: 1 }),
      },
    });
    expect(Object.keys(headers)).toEqual(
      expect.arrayContaining([
        ...['x-request-id', 'ratelimit', 'ratelimit-policy', 'cache-status', 'server-timing'],
        ...['x-ratelimit-limit-requests', 'x-ratelimit-remaining-requests'],
        ...['x-ratelimit-reset-requests', 'openai-processing-ms', 'pixart-warning'],
      ]),
    );
  });

  it('reads errors: what was wrong, and when to come back', async () => {
    const wrong = await act('fail', { ...target(), request: { prompt: 'a', n: 11 } });
    expect(wrong).toMatchObject({
      name: 'BadRequestError',
      message: 'n must be an integer from 1 to 10, not 11.',
      code: 'invalid_parameter',
      param: 'n',
      requestId: expect.stringMatching(/^req_/),
    });
    const stranger = { url: edge.url, key: 'pxe_sk_nobody', request: { prompt: 'a' } };
    expect(await act('fail', stranger)).toMatchObject({ name: 'AuthenticationError', status: 401 });
    edge.upstream.behaviour = {
      before: (response) => void response.writeHead(409, { 'Retry-After': '7' }).end('{}'),
    };
    const busy = await act('fail', { ...target(), request: { prompt: newPrompt() } });
    expect(busy).toMatchObject({
      name: 'ServerError',
      code: 'overloaded',
      retryable: true,
      retryAfterMs: expect.any(Number),
    });
  });

  it('reads the error of a path that does not exist', async () => {
    const init = { headers: { Authorization: `Bearer ${edge.key}` } };
    const answer = await act('request', { url: `${edge.url}/v1/nothing`, init });
    expect(answer.status).toBe(404);
    expect(JSON.parse(answer.body)).toMatchObject({ error: { code: 'unknown_url' } });
  });

  it('shows a picture of the service and may read its pixels', async () => {
    const { data } = (await (
      await edge.generate({ prompt: newPrompt(), response_format: 'url' })
    ).json()) as { data: { url: string }[] };
    const shown = await act('show', { url: data[0]!.url });
    expect(shown).toMatchObject({
      width: 128,
      pixel: [expect.any(Number), expect.any(Number), expect.any(Number), 255],
    });
  });

  it('gets nothing when its origin is not on the list', async () => {
    const other = await open(web.otherOrigin);
    const prompt = newPrompt();
    const error = await act('fail', { ...target(), request: { prompt } }, other);
    expect(error).toMatchObject({ name: 'ConnectionError' });
    expect(received(prompt)).toHaveLength(0);
    await other.close();
  });
});

describe('<pixart-image>', () => {
  /** Puts one on the page and writes down its events. */
  async function place(attributes: Record<string, string>): Promise<void> {
    await page.evaluate(`{
      globalThis.events = [];
      const element = document.createElement('pixart-image');
      element.innerHTML = '<p>drawing</p>';
      for (const [name, value] of Object.entries(${JSON.stringify(attributes)})) element.setAttribute(name, value);
      for (const type of ['preview', 'load', 'error']) element.addEventListener(type, () => events.push(type));
      document.body.append(element);
    }`);
  }
  const events = () => page.evaluate('events') as Promise<string[]>;
  const at = () => ({ 'base-url': edge.url, 'api-key': edge.key });

  it('shows its contents, then a preview, then the picture with its alternative text', async () => {
    const { show, finish } = drawSlowly({ isHeld: true });
    const prompt = newPrompt();
    await place({ ...at(), prompt, alt: 'A picture', seed: '5' });
    await page.getByText('drawing').waitFor();
    show();
    await expect.poll(events).toEqual(['preview']);
    const image = page.locator('pixart-image img');
    expect(await image.getAttribute('src')).toBe(PREVIEW);
    expect(await page.locator('pixart-image').getAttribute('aria-busy')).toBe('true');
    finish();
    await expect.poll(events).toEqual(['preview', 'load']);
    expect(await page.getByRole('img', { name: 'A picture' }).getAttribute('src')).toMatch(
      /^data:image\/png;base64,/,
    );
    expect(await page.locator('pixart-image').getAttribute('aria-busy')).toBe('false');
    expect(await page.getByText('drawing').isVisible()).toBe(false);
    expect(received(prompt).map(({ input }) => input.seed)).toEqual([5]);
    expect(complaints).toEqual([]);
  });

  it('draws once for attributes that change together, and again for another prompt', async () => {
    const [first, second] = [newPrompt(), newPrompt()];
    await place({ ...at(), prompt: first, size: '128x128' });
    await expect.poll(events).toEqual(['load']);
    await page.locator('pixart-image').evaluate((element, prompt) => {
      element.setAttribute('seed', '1');
      element.setAttribute('prompt', prompt);
    }, second);
    await expect.poll(events).toEqual(['load', 'load']);
    expect([received(first).length, received(second).length]).toEqual([1, 1]);
    await page.getByRole('img', { name: second }).waitFor();
  });

  it('lets go of the work when it leaves the page', async () => {
    drawSlowly();
    const prompt = newPrompt();
    await place({ ...at(), prompt });
    await expect.poll(events).toEqual(['preview']);
    await page.locator('pixart-image').evaluate((element) => element.remove());
    await edge.upstream.when(() => received(prompt)[0]?.outcome === 'canceled');
    expect(await events()).toEqual(['preview']);
  });

  it('shows its contents and says why when there will be no picture', async () => {
    await place({ ...at(), 'api-key': 'pxe_sk_nobody', prompt: newPrompt() });
    await expect.poll(events).toEqual(['error']);
    await page.getByText('drawing').waitFor();
    expect(await page.locator('pixart-image img').isVisible()).toBe(false);
  });
});

describe('useImage()', () => {
  const figure = () => page.locator('figure');
  const status = () => figure().getAttribute('data-status');

  it('goes from idle over a preview to the picture, under StrictMode with one drawing', async () => {
    const { finish } = drawSlowly();
    const prompt = newPrompt();
    await act('render', { ...target(), request: null });
    await expect.poll(status).toBe('idle');
    await act('render', { ...target(), request: { prompt } });
    await page.locator(`figure img[src="${PREVIEW}"]`).waitFor();
    expect(await status()).toBe('drawing');
    finish();
    await expect.poll(status).toBe('done');
    expect(await figure().getAttribute('data-count')).toBe('1');
    expect(await page.getByRole('img').getAttribute('src')).not.toBe(PREVIEW);
    expect(received(prompt)).toHaveLength(1);
    // The same request in another object is no other request.
    await act('render', { ...target(), request: { prompt } });
    expect(await status()).toBe('done');
    expect(received(prompt)).toHaveLength(1);
    expect(complaints).toEqual([]);
  });

  it('lets go of the work when the component leaves', async () => {
    drawSlowly();
    const prompt = newPrompt();
    await act('render', { ...target(), request: { prompt } });
    await page.locator('figure img').waitFor();
    await act('render', { ...target(), request: 'unmount' });
    await edge.upstream.when(() => received(prompt)[0]?.outcome === 'canceled');
  });

  it('reports a failure and draws again on retry', async () => {
    let isBroken = true;
    edge.upstream.behaviour = {
      before: (response) => {
        if (isBroken) response.writeHead(500).end('{}');
      },
    };
    await act('render', { ...target(), request: { prompt: newPrompt() } });
    await expect.poll(status).toBe('failed');
    isBroken = false;
    await page.getByRole('button').click();
    await expect.poll(status).toBe('done');
  });
});
