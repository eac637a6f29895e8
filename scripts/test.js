/**
 * `npm test`: every test that can run on this machine, and a sentence for those that cannot.
 *
 *     npm test                        all of them
 *     npm test -- --project edge      arguments go to vitest; the training's tests are left out then
 *
 * The page is tested in an installed Chromium (`CHROMIUM` names one), the training with a Python that has its packages
 * (`PYTHON` names one). Plain JavaScript, since the system's own Node starts it.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { findChromium } from './chromium.js';
import { ROOT, runOnSuitableNode } from './node-runtime.js';

await runOnSuitableNode(fileURLToPath(import.meta.url), main);

async function main() {
  const given = process.argv.slice(2);
  const notes = [];
  const training = given.length === 0 ? runTraining(notes) : { passed: 0, failed: 0, ok: true };
  const vitest = runVitest(given, notes);
  for (const note of notes) process.stdout.write(`${note}\n`);
  const passed = vitest.passed + training.passed;
  const failed = vitest.failed + training.failed;
  const skipped = vitest.skipped > 0 ? `, ${vitest.skipped} skipped` : '';
  process.stdout.write(`${passed} passed, ${failed} failed${skipped}\n`);
  process.exitCode = vitest.ok && training.ok ? 0 : 1;
}

/** Vitest with a report beside its output, so that the last line can count. */
function runVitest(given, notes) {
  const args = ['run', ...given];
  if (findChromium() === undefined) {
    args.push('--project=!page');
    notes.push(
      'The tests of the page were not run: they need Chromium (apt-get install chromium, or set CHROMIUM).',
    );
  }
  const folder = mkdtempSync(path.join(tmpdir(), 'pixart-edge-test-'));
  const report = path.join(folder, 'vitest.json');
  try {
    const { status } = spawnSync(
      process.execPath,
      [
        path.join(ROOT, 'node_modules/vitest/vitest.mjs'),
        ...args,
        '--reporter=default',
        '--reporter=json',
        `--outputFile.json=${report}`,
      ],
      { cwd: ROOT, stdio: 'inherit' },
    );
    const counts = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : {};
    return {
      passed: counts.numPassedTests ?? 0,
      failed: counts.numFailedTests ?? 0,
      skipped: (counts.numPendingTests ?? 0) + (counts.numTodoTests ?? 0),
      ok: status === 0,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The training's tests, if there is a Python for them. */
function runTraining(notes) {
  const python = findPython();
  if (python === undefined) {
    notes.push(
      'The tests of training/ were not run: they need Python 3.11 with its packages (see training/README.md, or set PYTHON).',
    );
    return { passed: 0, failed: 0, ok: true };
  }
  const { status, stdout } = spawnSync(python, ['-m', 'pytest', '-q'], {
    cwd: path.join(ROOT, 'training'),
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  process.stdout.write(stdout);
  // The last line: "30 passed, 1 failed in 2.31s".
  const count = (word) =>
    Number(new RegExp(`(\\d+) ${word}`).exec(stdout.split('\n').at(-2) ?? '')?.[1] ?? 0);
  return { passed: count('passed'), failed: count('failed') + count('error'), ok: status === 0 };
}

/** A Python that can import what the training's tests import. */
function findPython() {
  const places = [
    process.env.PYTHON,
    path.join(ROOT, 'training/.venv/bin/python'),
    path.join(ROOT, '.venv/bin/python'),
    'python3',
  ];
  return places.find((python) => {
    if (python === undefined) return false;
    const { status } = spawnSync(
      python,
      ['-c', 'import torch, pytest, safetensors, sentencepiece, diffusers, transformers'],
      { stdio: 'ignore' },
    );
    return status === 0;
  });
}
