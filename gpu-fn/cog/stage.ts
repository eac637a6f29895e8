/**
 * Prepares a folder that `cog build` can take: code, packages with their Node, the converted model, the runner.
 *
 *     node gpu-fn/cog/stage.ts --checkpoint models/stickers-nano --out dist/cog
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const ROOT = resolve(import.meta.dirname, '../..');
/** Stays behind: the converter has done its work, and Cog has its own container file. */
const LEFT_OUT = new Set(['convert', 'cog', 'Dockerfile', 'compose.cuda.yaml', 'README.md']);

const { values } = parseArgs({
  options: { checkpoint: { type: 'string' }, out: { type: 'string' } },
});
if (values.checkpoint === undefined || values.out === undefined) {
  process.stderr.write('usage: node gpu-fn/cog/stage.ts --checkpoint DIR --out DIR\n');
  process.exit(2);
}
const out = resolve(values.out);
if (existsSync(out) && !existsSync(join(out, 'cog.yaml'))) {
  process.stderr.write(`${out} exists and was not made by this command\n`);
  process.exit(1);
}

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
for (const name of ['package.json', 'package-lock.json', '.npmrc', 'shared']) {
  cpSync(join(ROOT, name), join(out, name), { recursive: true });
}
cpSync(join(ROOT, 'gpu-fn'), join(out, 'gpu-fn'), {
  recursive: true,
  filter: (source) => !LEFT_OUT.has(basename(source)),
});
for (const name of ['cog.yaml', 'run.py']) {
  cpSync(join(ROOT, 'gpu-fn/cog', name), join(out, name));
}
run('npm', ['ci', '--omit=dev', '--no-audit', '--no-fund'], out);
const convert = join(ROOT, 'gpu-fn/convert/main.ts');
const checkpoint = resolve(values.checkpoint);
const bundle = join(out, 'bundle');
run(process.execPath, [convert, '--checkpoint', checkpoint, '--out', bundle], ROOT);
process.stdout.write(`${out} is ready for cog build\n`);

function run(command: string, args: readonly string[], cwd: string): void {
  const { status, error } = spawnSync(command, args, { cwd, stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}
