/**
 * The pictures of README.md, drawn by the service that runs: seed 0, nothing picked by hand.
 *
 *     npm start                                   in one terminal
 *     npx node scripts/readme-pictures.ts         in another; again after each new model
 */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { chromium } from 'playwright-core';
import sharp from 'sharp';
import { findChromium } from './chromium.js';
import { ROOT } from './node-runtime.js';

const PROMPTS = [
  'a happy cactus, 3d style, white background',
  'a red apple, flat style, white background',
  'a fox, cartoon style, soft orange background',
  'a blue car, 3d style, yellow background',
  'a yellow duck, flat style, blue to purple gradient background',
  'a pizza, cartoon style, white background',
];
const SIDE = 192;
const GAP = 12;

const origin = process.env.ORIGIN ?? 'http://127.0.0.1:8787';
const key =
  process.env.API_KEY ?? (await readFile(path.join(ROOT, '.local/api-key'), 'utf8')).trim();

await writeFile(path.join(ROOT, 'docs/pictures.png'), await drawRow());
await writeFile(path.join(ROOT, 'docs/page.png'), await photographPage());

async function drawRow(): Promise<Buffer> {
  const tiles = [];
  for (const [i, prompt] of PROMPTS.entries()) {
    const response = await fetch(`${origin}/v1/images/generations`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ prompt, seed: 0, num_inference_steps: 4 }),
    });
    if (!response.ok) throw new Error(await response.text());
    const { data } = (await response.json()) as { data: { b64_json: string }[] };
    const input = await sharp(Buffer.from(data[0]?.b64_json ?? '', 'base64'))
      .resize(SIDE, SIDE, { kernel: 'lanczos3' })
      .toBuffer();
    tiles.push({ input, left: i * (SIDE + GAP), top: 0 });
  }
  const width = PROMPTS.length * (SIDE + GAP) - GAP;
  const canvas = { width, height: SIDE, channels: 4 as const, background: '#0000' };
  return sharp({ create: canvas }).composite(tiles).png({ palette: true }).toBuffer();
}

async function photographPage(): Promise<Buffer> {
  const executablePath = findChromium();
  if (executablePath === undefined) throw new Error('Chromium is needed: CHROMIUM can name one');
  const browser = await chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu'],
  });
  try {
    const page = await browser.newPage({
      viewport: { width: 1180, height: 860 },
      colorScheme: 'light',
    });
    await page.goto(`${origin}/#key=${key}`);
    await page.locator('.idea').first().waitFor();
    await page.getByLabel('Seed', { exact: true }).fill('0');
    for (const prompt of [...PROMPTS].reverse()) {
      await page.getByLabel('Prompt', { exact: true }).fill(prompt);
      await page.keyboard.press('Enter');
      await page.getByRole('img', { name: prompt }).waitFor();
    }
    const shot = await page.screenshot({ fullPage: true });
    return sharp(shot).png({ palette: true }).toBuffer();
  } finally {
    await browser.close();
  }
}
