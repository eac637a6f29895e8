/**
 * The Worker's settings, for commands that hand them on or describe them.
 *
 * Loaded by path: the Worker's own types are those of workerd, which nothing here is compiled with.
 */

import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type * as z from 'zod';
import { ROOT } from './node-runtime.js';

const { href } = pathToFileURL(path.join(ROOT, 'edge/config.ts'));
const config = (await import(href)) as { readonly settings: z.ZodObject<z.ZodRawShape> };

/** Schema of each setting by its name. */
export const edgeSettings = config.settings.shape as Readonly<Record<string, z.ZodType>>;
