/**
 * Exit code 0 if the function on this machine serves, else 1: the `HEALTHCHECK` of its image.
 *
 * A model that is still loading is no failure (the image allows time for it), but it is not health either.
 */
import { processEnvironment } from './config.ts';

const DEADLINE_MS = 3000;
const SERVING: readonly unknown[] = ['READY', 'BUSY'];

const port = processEnvironment().PORT || '5000';
try {
  const response = await fetch(`http://127.0.0.1:${port}/health-check`, {
    signal: AbortSignal.timeout(DEADLINE_MS),
  });
  const { status } = (await response.json()) as { status?: unknown };
  process.stdout.write(`${String(status)}\n`);
  process.exitCode = SERVING.includes(status) ? 0 : 1;
} catch (error) {
  process.stdout.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
