/** The SDK as its users get it: built, packed by npm, and installed from the tarball into an empty project, offline. */
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { buildSdk } from '../../scripts/build-sdk.ts';
import { temporaryFolder } from './temporary-folder.ts';

export const run = promisify(execFile);

export interface InstalledSdk extends AsyncDisposable {
  /** The project that it was installed into. */
  readonly project: string;
  /** The package inside of it. */
  readonly folder: string;
  /** Paths of the files in the tarball. */
  readonly files: readonly string[];
}

export async function installSdk(): Promise<InstalledSdk> {
  const temporary = temporaryFolder();
  const sdk = path.join(temporary.path, 'sdk');
  const project = path.join(temporary.path, 'project');
  await buildSdk(sdk);
  await mkdir(project);
  await writeFile(path.join(project, 'package.json'), '{ "private": true, "type": "module" }');
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', project], {
    cwd: sdk,
  });
  const [packed] = JSON.parse(stdout) as { filename: string; files: { path: string }[] }[];
  const options = ['--offline', '--no-audit', '--no-fund', '--cache', temporary.path];
  await run('npm', ['install', ...options, `./${packed!.filename}`], { cwd: project });
  return {
    project,
    folder: path.join(project, 'node_modules/pixart-edge'),
    files: packed!.files.map((file) => file.path),
    [Symbol.asyncDispose]: () => temporary[Symbol.asyncDispose](),
  };
}
