/** The page against the whole service: real Worker, real function, a tiny model. */
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchChromium } from '../helpers/chromium.ts';
import { type Service, startService } from '../helpers/service.ts';

let browser: Browser;
let service: Service;

beforeAll(async () => {
  browser = await launchChromium();
  service = await startService();
}, 240_000);

afterAll(async () => {
  await browser?.close();
  await service?.[Symbol.asyncDispose]();
});

describe('the page of the service', () => {
  it('draws, then finds the same picture in the cache, and breaks no rule of its own policy', async () => {
    const page = await browser.newPage();
    page.setDefaultTimeout(30_000);
    const complaints: string[] = [];
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(error.message));
    const response = await page.goto(`${service.url}/#key=${service.key}`);
    expect(response?.headers()['content-security-policy']).toContain("default-src 'none'");
    await page.getByText('pixart-edge/tiny').waitFor();

    await page.getByLabel('Prompt', { exact: true }).fill('a red apple');
    await page.keyboard.press('Enter');
    await page.getByRole('img', { name: 'a red apple' }).waitFor();
    expect(await page.locator('#fact-cache').textContent()).toBe('Drawn');
    const seed = await page.locator('#fact-seed').textContent();
    const before = await service.executions();

    await page.getByRole('button', { name: 'Draw', exact: true }).click();
    await page.getByText('From the cache').waitFor();
    expect(await page.locator('#fact-seed').textContent()).toBe(seed);
    expect(await service.executions()).toBe(before);

    const link = await page.locator('#link').getAttribute('href');
    const picture = await page.request.get(link!);
    expect(picture.headers()['content-type']).toBe('image/png');
    expect(complaints).toEqual([]);
  });

  it('shows a preview of the real model before the picture', async () => {
    const page = await browser.newPage();
    page.setDefaultTimeout(30_000);
    await page.goto(`${service.url}/#key=${service.key}`);
    await page.getByText('pixart-edge/tiny').waitFor();
    // Every source that the picture has had, in order.
    await page.evaluate(`{
      window.sources = [];
      new MutationObserver(() => window.sources.push(document.querySelector('#picture').src.slice(0, 14)))
        .observe(document.querySelector('#picture'), { attributeFilter: ['src'] });
    }`);
    await page.getByLabel('Prompt', { exact: true }).fill('a blue car in the desert');
    await page.keyboard.press('Enter');
    await page.getByRole('img', { name: 'a blue car in the desert' }).waitFor();
    const sources = (await page.evaluate('window.sources')) as string[];
    expect(sources.length).toBeGreaterThanOrEqual(2);
  });
});
