/** docs/tutorial.md, command by command, and its page in Chromium. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ROOT } from '../../scripts/node-runtime.js';
import { launchChromium } from '../helpers/chromium.ts';
import { findFreePort } from '../helpers/free-port.ts';
import { type TemporaryFolder, temporaryFolder } from '../helpers/temporary-folder.ts';
import { makeTinyBundle, type TinyBundle } from '../helpers/tiny-bundle.ts';

const INSTALL = 'npm install --install-links vite';
const DEADLINE_MS = 240_000;

let browser: Browser;
let bundle: TinyBundle;
let folder: TemporaryFolder;
const started: ChildProcess[] = [];

beforeAll(async () => {
  folder = temporaryFolder();
  [browser, bundle] = await Promise.all([launchChromium(), makeTinyBundle()]);
}, DEADLINE_MS);

afterAll(async () => {
  await browser?.close();
  for (const child of started) {
    const gone = once(child, 'exit');
    // npm, and what it has started.
    process.kill(-child.pid!, 'SIGTERM');
    await gone;
  }
  await bundle?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

/** Starts a command line that does not end by itself; resolves once it has printed what it is to print. */
async function startCommand(command: string, cwd: string, env: NodeJS.ProcessEnv, sign: string) {
  const child = spawn('sh', ['-c', command], { cwd, env, detached: true });
  started.push(child);
  let output = '';
  await new Promise<void>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      output += chunk;
      if (output.includes(sign)) resolve();
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.once('exit', (code) => reject(new Error(`${command} ended with ${code}:\n${output}`)));
  });
}

it(
  'docs/tutorial.md leads to the picture, by its commands and its files as they stand there',
  async () => {
    const [servicePort, pagePort] = [await findFreePort(), await findFreePort()];
    const page = path.join(folder.path, 'my-page');
    const local = path.join(folder.path, 'local');
    // Only places are changed: the ports, and the folders that lie in and beside the checkout.
    const text = readFileSync(path.join(ROOT, 'docs/tutorial.md'), 'utf8')
      .replaceAll('8787', String(servicePort))
      .replaceAll('5173', String(pagePort))
      .replaceAll('../my-page', page)
      .replaceAll('.local/api-key', `${local}/api-key`)
      .replaceAll('cactus.png', path.join(folder.path, 'cactus.png'));
    const commands = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = '']) =>
      block.trim(),
    );
    const files = [
      ...text.matchAll(
        /Write this into `([\w.]+)`[^`]*(?:`[^`]+`[^`]*)?\n\n```\w+\n([\s\S]*?)```/g,
      ),
    ];
    expect(commands).toHaveLength(4);
    expect(files.map(([, name]) => name)).toEqual(['index.html', 'main.js']);
    const [start = '', curl = '', make = '', serve = ''] = commands;
    const env: NodeJS.ProcessEnv = {
      ...process.env,
      BUNDLE: bundle.folder,
      LOCAL_DIR: local,
      PORT: String(servicePort),
      ORIGIN: `http://127.0.0.1:${servicePort}`,
      npm_config_update_notifier: 'false',
    };

    const [install, ...rest] = start.split('\n');
    expect(install).toBe('npm install');
    await startCommand(rest.join('\n'), ROOT, env, 'Ctrl-C ends it.');

    const sh = (script: string) =>
      promisify(execFile)('sh', ['-euc', script], {
        cwd: ROOT,
        env: { ...env, API_KEY: readFileSync(path.join(local, 'api-key'), 'utf8').trim() },
      });
    await sh(curl);
    expect(readFileSync(path.join(folder.path, 'cactus.png')).toString('latin1', 1, 4)).toBe('PNG');

    // Vite is linked from here: the test needs no registry.
    expect(make).toContain(INSTALL);
    expect(make).toContain('publishable');
    await sh(make.replace(INSTALL, 'npm install --install-links --offline --no-audit --no-fund'));
    symlinkSync(path.join(ROOT, 'node_modules/vite'), path.join(page, 'node_modules/vite'));
    mkdirSync(path.join(page, 'node_modules/.bin'), { recursive: true });
    symlinkSync('../vite/bin/vite.js', path.join(page, 'node_modules/.bin/vite'));
    for (const [, name = '', content = ''] of files) {
      const whole =
        name === 'index.html'
          ? content.replace('  </body>', '  <script type="module" src="/main.js"></script></body>')
          : content;
      writeFileSync(path.join(page, name), whole);
    }
    expect(readFileSync(path.join(page, '.env'), 'utf8')).toMatch(/^VITE_API_KEY=pxe_pk_\w+\s*$/);
    await startCommand(`${serve} --port ${pagePort} --strictPort`, page, env, 'Local');

    const tab = await browser.newPage();
    tab.setDefaultTimeout(60_000);
    await tab.goto(`http://localhost:${pagePort}`);
    const cactus = tab.getByRole('img', { name: 'a happy cactus in the desert' });
    await cactus.waitFor();
    await expect.poll(() => tab.locator('pixart-image').getAttribute('aria-busy')).toBe('false');
    const drawn = readFileSync(path.join(folder.path, 'cactus.png')).toString('base64');
    expect(await cactus.getAttribute('src')).toBe(`data:image/png;base64,${drawn}`);

    await tab.getByLabel('Prompt').fill('a red apple');
    await tab.getByRole('button', { name: 'Draw' }).click();
    await tab.locator('img[alt="a red apple"][src^="data:image/png"]').waitFor();
  },
  DEADLINE_MS,
);
