/** The page in Chromium, against answers that the test chooses. */
import AxeBuilder from '@axe-core/playwright';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { launchChromium } from '../helpers/chromium.ts';
import {
  completedEvent,
  openStream,
  previewEvent,
  refuse,
  type StandInService,
  sendEvent,
  startStandIn,
} from '../helpers/stand-in-service.ts';

const KEY = 'pxe_sk_standin00000_0123456789abcdef0123456789abcdef000000';
const PHONE: BrowserContextOptions = { viewport: { width: 375, height: 560 }, hasTouch: true };
const DESKTOP: BrowserContextOptions = { viewport: { width: 1280, height: 860 } };

let browser: Browser;
let service: StandInService;
let picture: Buffer;
const pages: Page[] = [];

beforeAll(async () => {
  browser = await launchChromium();
  picture = await sharp({ create: { width: 16, height: 16, channels: 3, background: '#c63' } })
    .png()
    .toBuffer();
});

afterAll(() => browser?.close());

beforeEach(async () => {
  service = await startStandIn();
});

afterEach(async () => {
  for (const page of pages.splice(0)) await page.context().close();
  await service[Symbol.asyncDispose]();
});

/** The page with its key, as `npm start` prints its address. Errors of its scripts fail the test. */
async function open(options = DESKTOP, fragment = `#key=${KEY}`): Promise<Page> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  page.on('pageerror', (error) => {
    throw error;
  });
  pages.push(page);
  await page.goto(`${service.origin}/${fragment}`);
  return page;
}

async function draw(page: Page, prompt = 'a red apple'): Promise<void> {
  await page.getByLabel('Prompt', { exact: true }).fill(prompt);
  await page.keyboard.press('Enter');
}

const result = (page: Page) => page.locator('#result');

describe('the page', () => {
  it('takes the key out of the address and sends it with every request', async () => {
    const page = await open();
    await page.getByText('pixart-edge/stand-in').waitFor();
    expect(page.url()).toBe(`${service.origin}/`);
    await draw(page);
    await result(page).waitFor();
    expect(new Set(service.credentials)).toEqual(new Set([`Bearer ${KEY}`]));
  });

  it('shows previews while the picture is drawn, then the picture with its facts', async () => {
    let finish: (() => void) | undefined;
    service.answer = async (response, body) => {
      openStream(response);
      sendEvent(response, previewEvent(2, picture));
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      sendEvent(response, completedEvent(body, { origin: service.origin, picture, seed: 41 }));
      response.end();
    };
    const page = await open();
    await draw(page);

    await page.getByText('Step 2 of 4').waitFor();
    await page.locator('#frame[data-state="drawing"] #picture').waitFor();
    expect(await page.getByRole('progressbar').getAttribute('aria-valuenow')).toBe('2');
    finish?.();

    await page.getByRole('img', { name: 'a red apple' }).waitFor();
    expect(await page.locator('#fact-cache').textContent()).toBe('Drawn');
    expect(await page.locator('#fact-seed').textContent()).toBe('Seed 41');
    expect(await page.locator('#fact-time').textContent()).toMatch(/^\d+(\.\d)? m?s$/);
    expect(await page.locator('#link').getAttribute('href')).toMatch(/\/i\/(ab){32}\.png$/);
  });

  it('says when a picture came from the cache', async () => {
    service.answer = (response, body) => {
      openStream(response);
      sendEvent(response, completedEvent(body, { origin: service.origin, picture, cache: 'hit' }));
      response.end();
    };
    const page = await open();
    await draw(page);
    await page.getByText('From the cache').waitFor();
  });

  it('sends the settings that were chosen', async () => {
    const page = await open();
    await page.getByText('pixart-edge/stand-in').waitFor();
    await page.getByLabel('Size').selectOption('256x256');
    await page.getByRole('slider', { name: 'Steps' }).fill('8');
    await page.getByLabel('Seed', { exact: true }).fill('123');
    await page.getByText('WebP').click();
    await page.getByLabel('Transparent background').check();
    await draw(page, 'a cat');
    await result(page).waitFor();
    expect(service.requests).toEqual([
      {
        prompt: 'a cat',
        num_inference_steps: 8,
        output_format: 'webp',
        size: '256x256',
        seed: 123,
        background: 'transparent',
        stream: true,
        partial_images: 3,
      },
    ]);
  });

  it('lets the server choose the seed when none is given', async () => {
    const page = await open();
    await draw(page);
    await result(page).waitFor();
    expect(service.requests[0]).not.toHaveProperty('seed');
  });

  it('offers example prompts in the words of the model, and draws the one that is clicked', async () => {
    const page = await open();
    const idea = page.locator('.idea').first();
    const text = await idea.textContent();
    expect(text).toMatch(/cactus|apple|cat|car|dog|tree/);
    await idea.click();
    await result(page).waitFor();
    expect(service.requests[0]?.prompt).toBe(text);
  });

  it('shows warnings beside the picture', async () => {
    const warnings = [{ code: 'unknown_words', message: 'The model does not know: flibber.' }];
    service.answer = (response, body) => {
      openStream(response);
      sendEvent(response, completedEvent(body, { origin: service.origin, picture, warnings }));
      response.end();
    };
    const page = await open();
    await draw(page);
    await page.getByText('The model does not know: flibber.').waitFor();
  });

  it('renders markup in prompts and messages as text', async () => {
    service.answer = (response, body) => {
      openStream(response);
      const warnings = [
        { code: 'unknown_words', message: '<img src=x onerror="document.title=1">' },
      ];
      sendEvent(response, completedEvent(body, { origin: service.origin, picture, warnings }));
      response.end();
    };
    const page = await open();
    await draw(page, '<b>bold</b>');
    await page.getByText('<b>bold</b>', { exact: true }).first().waitFor();
    expect(await page.title()).toBe('pixart-edge');
    expect(await page.locator('#result b').count()).toBe(0);
  });
});

describe('the page when things go wrong', () => {
  it('asks for a key when the server wants one, and says when it is not valid', async () => {
    service.modelStatus = 401;
    const page = await open(DESKTOP, '');
    await page.getByLabel('API key').fill('pxe_sk_wrong');
    await page.getByRole('button', { name: 'Use it' }).click();
    await page.getByText('The API key is not valid.').waitFor();

    service.modelStatus = 200;
    await page.getByLabel('API key').fill(KEY);
    await page.getByRole('button', { name: 'Use it' }).click();
    await page.getByText('pixart-edge/stand-in').waitFor();
    expect(await page.getByLabel('API key').isVisible()).toBe(false);
    await page.reload();
    await page.getByText('pixart-edge/stand-in').waitFor();
    expect(service.credentials.at(-1)).toBe(`Bearer ${KEY}`);
  });

  it('shows the words of a refusal, and no button to try it again', async () => {
    service.answer = (response) =>
      refuse(response, 400, 'invalid_parameter', 'size: 100 is not a multiple of 16');
    const page = await open();
    await draw(page);
    await page.getByText('size: 100 is not a multiple of 16').waitFor();
    await page.getByText('Request req_standin0002').waitFor();
    expect(await page.getByRole('button', { name: 'Try again' }).isVisible()).toBe(false);
  });

  it('says how long to wait when there is too much at once, and draws again on request', async () => {
    service.answer = (response) =>
      refuse(response, 429, 'rate_limited', 'The budget is used up.', { 'Retry-After': '4' });
    const page = await open();
    await draw(page);
    await page.getByText('The budget is used up. Try again in 4 s.').waitFor();
    service.answer = (response, body) => {
      openStream(response);
      sendEvent(response, completedEvent(body, { origin: service.origin, picture }));
      response.end();
    };
    await page.getByRole('button', { name: 'Try again' }).click();
    await result(page).waitFor();
    expect(await page.locator('#problem').isVisible()).toBe(false);
  });

  it('reports an error event in the middle of a stream', async () => {
    service.answer = (response) => {
      openStream(response);
      sendEvent(response, previewEvent(1, picture));
      const error = {
        message: 'The function was lost.',
        type: 'server_error',
        code: 'capacity_unavailable',
        param: null,
        reason: 'upstream_lost',
        retryable: true,
      };
      sendEvent(response, { type: 'error', error } as { type: string });
      response.end();
    };
    const page = await open();
    await draw(page);
    await page.getByText('The function was lost.').waitFor();
    await page.getByRole('button', { name: 'Try again' }).waitFor();
  });

  it('reports a stream that ends without its picture', async () => {
    service.answer = (response) => {
      openStream(response);
      response.end();
    };
    const page = await open();
    await draw(page);
    await page.getByText('The stream ended before the picture was there.').waitFor();
  });

  it('reports a connection that breaks', async () => {
    service.answer = (response) => {
      openStream(response);
      setImmediate(() => response.destroy());
    };
    const page = await open();
    await draw(page);
    await page.getByRole('heading', { name: 'Connection lost' }).waitFor();
  });

  it('stops the request when asked to, and can draw the next one', async () => {
    const left = Promise.withResolvers<void>();
    service.answer = (response) => {
      openStream(response);
      response.on('close', () => left.resolve());
    };
    const page = await open();
    await draw(page);
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByText('Stopped.').waitFor();
    await left.promise;
    service.answer = (response, body) => {
      openStream(response);
      sendEvent(response, completedEvent(body, { origin: service.origin, picture }));
      response.end();
    };
    await draw(page, 'a dog');
    await result(page).waitFor();
  });

  it('names a field that cannot be used, and sends nothing', async () => {
    const page = await open();
    await page.getByRole('button', { name: 'Draw', exact: true }).click();
    await page.getByText('Say first what to draw.').waitFor();
    await page.getByLabel('Seed', { exact: true }).fill('4294967296');
    await draw(page);
    await page.getByText('A seed is a whole number from 0 to 4294967295.').waitFor();
    expect(service.requests).toEqual([]);
  });
});

describe('the history of the page', () => {
  it('survives a reload and brings a picture back with everything it was drawn from', async () => {
    const page = await open();
    await page.getByText('pixart-edge/stand-in').waitFor();
    await page.getByLabel('Seed', { exact: true }).fill('99');
    await draw(page, 'a blue car');
    await result(page).waitFor();
    await page.reload();

    await page.getByRole('button', { name: 'Show again: a blue car' }).click();
    await page.getByRole('img', { name: 'a blue car' }).waitFor();
    expect(await page.getByLabel('Prompt', { exact: true }).inputValue()).toBe('a blue car');
    expect(await page.getByLabel('Seed', { exact: true }).inputValue()).toBe('99');
    await page.getByRole('button', { name: 'Clear' }).click();
    expect(await page.locator('#history').isVisible()).toBe(false);
  });
});

describe('the page for everyone', () => {
  it('draws by keyboard alone, and keeps the focus', async () => {
    const page = await open();
    await page.getByText('pixart-edge/stand-in').waitFor();
    await page.getByLabel('Prompt', { exact: true }).focus();
    await page.keyboard.type('a tree');
    await page.keyboard.press('Tab');
    expect(await focusedText(page)).toBe('Draw');
    await page.keyboard.press('Enter');
    await result(page).waitFor();
    expect(await focusedText(page)).toBe('Draw');
  });

  it('breaks the line on Shift+Enter', async () => {
    const page = await open();
    const prompt = page.getByLabel('Prompt', { exact: true });
    await prompt.focus();
    await page.keyboard.type('one');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('two');
    expect(await prompt.inputValue()).toBe('one\ntwo');
    expect(service.requests).toEqual([]);
  });

  it('never scrolls sideways on a phone, and brings the picture into view', async () => {
    const page = await open(PHONE);
    await draw(page, 'an exceedinglylongwordthatdoesnotfitintoanyphone'.repeat(4));
    await result(page).waitFor();
    const width = await page.evaluate('document.documentElement.scrollWidth');
    expect(width).toBe(375);
    await page.waitForFunction(`{
      const { top, bottom } = document.querySelector('#frame').getBoundingClientRect();
      top >= 0 && bottom <= innerHeight;
    }`);
  });

  it('remembers the theme that was chosen', async () => {
    const page = await open({ ...DESKTOP, colorScheme: 'light' });
    const background = () => page.evaluate('getComputedStyle(document.body).backgroundColor');
    const light = await background();
    await page.getByRole('button', { name: 'Theme: as the system' }).click();
    await page.getByRole('button', { name: 'Theme: light' }).click();
    await page.getByRole('button', { name: 'Theme: dark' }).waitFor();
    const dark = await background();
    expect(dark).not.toBe(light);
    await page.reload();
    expect(await background()).toBe(dark);
  });

  it.each([
    ['light', PHONE],
    ['dark', PHONE],
    ['light', DESKTOP],
    ['dark', DESKTOP],
  ] as const)('has no finding of axe in %s, %o', async (colorScheme, options) => {
    service.answer = (response, body) => {
      openStream(response);
      const warnings = [{ code: 'unknown_words', message: 'The model does not know: zzz.' }];
      sendEvent(response, completedEvent(body, { origin: service.origin, picture, warnings }));
      response.end();
    };
    const page = await open({ ...options, colorScheme, reducedMotion: 'reduce' });
    await page.getByText('pixart-edge/stand-in').waitFor();
    await draw(page);
    await result(page).waitFor();
    expect(await findViolations(page)).toEqual([]);

    service.answer = (response) => refuse(response, 503, 'overloaded', 'All GPUs are busy.');
    await draw(page);
    await page.getByText('All GPUs are busy.').waitFor();
    expect(await findViolations(page)).toEqual([]);
  });
});

const focusedText = (page: Page) => page.evaluate('document.activeElement.textContent');

async function findViolations(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
}
