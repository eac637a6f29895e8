/**
 * docs/configuration.md from the schemas of the settings: `node scripts/configuration.ts` writes it, a test compares.
 */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type * as z from 'zod';
import { settingsTable } from '../gpu-fn/config.ts';
import { edgeSettings } from './edge-settings.ts';
import { ROOT } from './node-runtime.js';
import { START_SETTINGS } from './start/settings.ts';

export const CONFIGURATION_FILE = path.join(ROOT, 'docs/configuration.md');

/** The document, whole. */
export function describeConfiguration(): string {
  return `# Configuration

All settings are environment variables (of the Worker: vars and secrets of \`wrangler.toml\`). They are read once, at the
start; all problems are reported in one message. An empty variable counts as not set. Secrets have no default.

*This page is made from the schemas by \`node scripts/configuration.ts\`.*

## \`npm start\`

${table(START_SETTINGS.shape)}

Beside these it takes every setting of the Worker and of the function below and hands it on, except those that it decides
itself: \`GPU_URL\`, \`GPU_SIGNING_KEY\`, \`MODELS\`, and the function's \`PORT\`, \`HOST\` and \`BUNDLE\`.

## The Worker

${table(edgeSettings)}

## The function

${settingsTable()}
`;
}

function table(shape: Readonly<Record<string, z.ZodType>>): string {
  const rows = Object.entries(shape).map(
    ([name, schema]) => `| \`${name}\` | ${fallbackOf(schema)} | ${describe(schema)} |`,
  );
  return ['| Setting | Default | Meaning |', '|---|---|---|', ...rows].join('\n');
}

/** What an absent variable comes to. */
function fallbackOf(schema: z.ZodType): string {
  const parsed = schema.safeParse(undefined);
  if (!parsed.success) return 'required';
  if (parsed.data === undefined) return '';
  const text = typeof parsed.data === 'string' ? parsed.data : JSON.stringify(parsed.data);
  const shown = text.startsWith(ROOT) ? path.relative(ROOT, text) : text;
  return shown === '' || shown === '[]' ? '' : `\`${shown}\``;
}

function describe(schema: z.ZodType): string {
  const text = (schema.description ?? '').replaceAll('|', '\\|');
  return text.endsWith('.') ? text : `${text}.`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await writeFile(CONFIGURATION_FILE, describeConfiguration());
}
