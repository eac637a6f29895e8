import { execFile } from 'node:child_process';
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const SCRIPT = fileURLToPath(new URL('../../scripts/goldens.ts', import.meta.url));
const FIXTURES = fileURLToPath(new URL('../fixtures/golden', import.meta.url));

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pixart-edge-goldens-test-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function compareWith(python: string): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const env = { ...process.env, PYTHON: python };
    execFile(process.execPath, [SCRIPT, '--compare'], { env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

/** Stands in for Python: "makes" every golden by copying it from `from`. */
function copyingPython(from: string): string {
  const file = join(folder, 'python');
  const lines = [
    '#!/bin/sh',
    'for out; do :; done', // the last argument
    'case "$1" in *check_onnx.py) echo "checked $(ls "$2")"; exit 0 ;; esac',
    'case "$out" in',
    `  *.json.gz) cp "${from}/stickers-nano/ids.json.gz" "$out" ;;`,
    `  *) mkdir -p "$out"; cp -r "${from}/$(basename "$out")/." "$out" ;;`,
    'esac',
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  chmodSync(file, 0o755);
  return file;
}

describe('goldens', () => {
  it('goldens --compare ends with 0 when every value comes out again', async () => {
    const { code, stdout } = await compareWith(copyingPython(FIXTURES));
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.not.stringContaining('DIFFERENT') });
    expect(stdout).toContain('same      stickers-nano/picture-0.png');
    expect(stdout.match(/checked [\s\S]*?manifest\.json/g)).toHaveLength(2); // int8 and fp32
  });

  it('goldens --compare ends with 1 and names the value that differs', async () => {
    const changed = join(folder, 'changed');
    cpSync(FIXTURES, changed, { recursive: true });
    const file = join(changed, 'resize/resize.json');
    const golden = JSON.parse(readFileSync(file, 'utf8')) as { data: number[] };
    golden.data[3] = -5;
    writeFileSync(file, JSON.stringify(golden));
    const { code, stdout } = await compareWith(copyingPython(changed));
    expect(code).toBe(1);
    expect(stdout).toMatch(/DIFFERENT resize\/resize\.json\n +\/data\/3 is -5, committed \d+\n/);
  });

  it('goldens --compare without Python says which one it wants', async () => {
    const { code, stderr } = await compareWith(join(folder, 'absent'));
    expect(code).toBe(1);
    expect(stderr).toContain('PYTHON=');
  });
});
