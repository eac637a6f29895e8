/**
 * Names that the lockfile's packages want for other platforms and that the lockfile itself lacks.
 *
 * `npm install` writes such a lockfile when a registry misses some of a package's platform builds, and every later `npm ci`
 * dies of it. Run as a command it names them and fails.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * @param {{packages?: Record<string, {optionalDependencies?: Record<string, string>}>}} lockfile
 * @returns {string[]}
 */
export function findLockfileHoles(lockfile) {
  const packages = Object.entries(lockfile.packages ?? {});
  const present = new Set(packages.map(([at]) => at.slice(at.lastIndexOf('node_modules/') + 13)));
  const wanted = packages.flatMap(([, entry]) => Object.keys(entry.optionalDependencies ?? {}));
  return [...new Set(wanted)].filter((name) => !present.has(name)).sort();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
  const holes = findLockfileHoles(
    JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8')),
  );
  if (holes.length > 0) {
    process.stderr.write(`package-lock.json lacks ${holes.join(', ')}: npm ci would fail.\n`);
    process.exitCode = 1;
  }
}
