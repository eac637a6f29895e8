/** `node training/sprites/main.ts --out DIR`: check licences, render every concept in every style, pack. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { CONCEPTS } from './concepts.ts';
import { SpriteError } from './errors.ts';
import { assertWritable, buildPack, type DrawnConcept, writePack } from './pack.ts';
import { renderSprite } from './render.ts';
import { openSets } from './sources.ts';
import { readWords } from './words.ts';

const HELP = `Usage: node training/sprites/main.ts --out DIR [--json]

Renders the drawings that the demo model is trained on and packs them into DIR.
Install the drawings first: npm ci --prefix training/sprites

  --out DIR   where sprites.pack, concepts.json, words.json, ATTRIBUTION.md and SHA256SUMS go
  --json      print one JSON object instead of text
  --help      this text

Exit status: 0 done, 1 unexpected failure, 2 wrong usage, 3 licence not accepted,
4 drawing missing, 5 drawing cannot be rendered, 6 drawing fails a quality gate,
7 DIR cannot be written to
`;

interface Options {
  readonly out: string;
  readonly json: boolean;
}

function parseOptions(argv: readonly string[]): Options | 'help' {
  let values: { out?: string; json?: boolean; help?: boolean };
  try {
    ({ values } = parseArgs({
      args: [...argv],
      options: {
        out: { type: 'string' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }));
  } catch (cause) {
    throw new SpriteError('usage', (cause as Error).message, { cause });
  }
  if (values.help) return 'help';
  if (!values.out) throw new SpriteError('usage', '--out DIR is missing');
  return { out: resolve(values.out), json: values.json ?? false };
}

async function run({ out, json }: Options): Promise<void> {
  assertWritable(out);
  const here = import.meta.dirname;
  const modulesDir = join(here, 'node_modules');
  const sets = openSets(modulesDir);
  const palette = JSON.parse(readFileSync(join(here, 'palette.json'), 'utf8')) as Record<
    string,
    string
  >;
  const drawn: DrawnConcept[] = [];
  for (const [index, concept] of CONCEPTS.entries()) {
    const sprites = [];
    for (const { style, accepted, read } of sets) {
      const label = `${concept.name} (${style})`;
      sprites.push({
        style,
        accepted,
        sprite: await renderSprite(read(concept.emoji), label),
      });
    }
    drawn.push({ concept, sprites });
    if (!json && process.stderr.isTTY) {
      process.stderr.write(`\r${index + 1} of ${CONCEPTS.length} concepts`);
    }
  }
  if (!json && process.stderr.isTTY) process.stderr.write('\n');
  const files = buildPack(drawn, palette, readWords(modulesDir));
  writePack(out, files);
  const report = {
    concepts: drawn.length,
    sprites: drawn.length * sets.length,
    pack_bytes: files['sprites.pack'].length,
    out,
  };
  process.stdout.write(
    json
      ? `${JSON.stringify(report)}\n`
      : `${report.sprites} sprites of ${report.concepts} concepts, ${report.pack_bytes} bytes, in ${out}\n`,
  );
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options === 'help') process.stdout.write(HELP);
  else await run(options);
} catch (error) {
  if (!(error instanceof SpriteError)) throw error;
  process.stderr.write(`sprites: ${error.message}\n`);
  process.exitCode = error.exitStatus;
}
