/** The pages of `examples/`, built by Vite with the installed SDK, in Chromium against the whole service. */
import { cpSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { build, type PreviewServer, preview } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../../scripts/node-runtime.js';
import { launchChromium } from '../helpers/chromium.ts';
import { type RunningEdge, startEdge } from '../helpers/edge.ts';
import { findFreePort } from '../helpers/free-port.ts';
import { type InstalledSdk, installSdk } from '../helpers/sdk-package.ts';

let browser: Browser;
let edge: RunningEdge;
let sdk: InstalledSdk;
let port: number;
const servers: PreviewServer[] = [];

beforeAll(async () => {
  port = await findFreePort();
  [browser, sdk, edge] = await Promise.all([
    launchChromium(),
    installSdk(),
    startEdge({ bindings: { CORS_ORIGINS: `http://localhost:${port}` } }),
  ]);
  for (const name of ['react', 'react-dom', 'scheduler']) {
    const from = path.join(ROOT, 'node_modules', name);
    symlinkSync(from, path.join(sdk.project, 'node_modules', name));
  }
}, 240_000);

afterAll(async () => {
  await browser?.close();
  await edge?.[Symbol.asyncDispose]();
  await sdk?.[Symbol.asyncDispose]();
});

/** Builds the example as its first lines say and opens it. */
async function open(name: string): Promise<Page> {
  await Promise.all(servers.splice(0).map((server) => server.close()));
  const root = path.join(sdk.project, name);
  cpSync(path.join(ROOT, 'examples', name), root, { recursive: true });
  process.env.VITE_ORIGIN = edge.url;
  process.env.VITE_API_KEY = edge.key;
  await build({ root, logLevel: 'silent', configFile: false });
  const options = { port, strictPort: true, host: 'localhost' };
  servers.push(await preview({ root, logLevel: 'silent', configFile: false, preview: options }));
  const page = await browser.newPage();
  page.setDefaultTimeout(30_000);
  await page.goto(`http://localhost:${port}`);
  return page;
}

describe('examples', () => {
  it('page/ draws with one tag', async () => {
    const page = await open('page');
    await page.getByRole('img', { name: 'a red apple on a white background' }).waitFor();
    await page.close();
  });

  it('react/ draws what is written into its field', async () => {
    const page = await open('react');
    await page.locator('img[alt="a happy cactus in the desert"][src]').waitFor();
    await page.getByLabel('Prompt').fill('a blue car');
    await page.getByRole('button', { name: 'Draw' }).click();
    await page.locator('img[alt="a blue car"][src][aria-busy="false"]').waitFor();
    expect(edge.upstream.received.map(({ input }) => input.prompt)).toContain('a blue car');
    await Promise.all(servers.splice(0).map((server) => server.close()));
  });
});
