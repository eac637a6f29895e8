/**
 * One picture through fal's client, by its queue, through the proxy that the service has for it.
 *
 *     npx node examples/fal-client.ts "a green car in the desert" car.png
 */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createFalClient } from '@fal-ai/client';

const [prompt = 'a green car in the desert', file = 'car.png'] = process.argv.slice(2);
const origin = process.env.ORIGIN ?? 'http://127.0.0.1:8787';
const fal = createFalClient({
  proxyUrl: { url: `${origin}/fal/proxy`, when: 'always' },
  credentials: process.env.API_KEY ?? readFileSync('.local/api-key', 'utf8').trim(),
});

const { data } = await fal.subscribe(process.env.MODEL ?? 'pixart-edge/stickers-nano', {
  input: { prompt },
  onQueueUpdate: ({ status }) => console.log(status),
});
const { images } = data as { images: { url: string }[] };
const picture = await fetch(images[0]!.url);
await writeFile(file, new Uint8Array(await picture.arrayBuffer()));
console.log(file);
