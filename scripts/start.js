/**
 * `npm start`: the whole service on this machine. The work is done by `start/main.ts`.
 *
 * Plain JavaScript, since the system's own Node starts it and may be too old for the rest.
 */
import { fileURLToPath } from 'node:url';
import { runOnSuitableNode } from './node-runtime.js';

await runOnSuitableNode(fileURLToPath(import.meta.url), () => import('./start/main.ts'));
