/**
 * One picture through Replicate's client: only the base URL and the key are ours.
 *
 *     npx node examples/replicate-client.ts "a flat blue cat" cat.png
 */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import Replicate, { type FileOutput } from 'replicate';

const [prompt = 'a flat blue cat', file = 'cat.png'] = process.argv.slice(2);
const replicate = new Replicate({
  baseUrl: `${process.env.ORIGIN ?? 'http://127.0.0.1:8787'}/v1`,
  auth: process.env.API_KEY ?? readFileSync('.local/api-key', 'utf8').trim(),
});
const model = (process.env.MODEL ?? 'pixart-edge/stickers-nano') as `${string}/${string}`;

// A file where Replicate's own service would give one, a URL elsewhere.
const [output] = (await replicate.run(model, { input: { prompt } })) as (FileOutput | string)[];
const picture = await fetch(String(output));
await writeFile(file, new Uint8Array(await picture.arrayBuffer()));
console.log(file);
