/**
 * Watches a picture come into being: every preview goes to a file of its own.
 *
 *     npx node examples/stream.ts "a blue car, flat style" car
 */
import { readFileSync, writeFileSync } from 'node:fs';
import OpenAI from 'openai';

const [prompt = 'a blue car, flat style', name = 'car'] = process.argv.slice(2);
const openai = new OpenAI({
  baseURL: `${process.env.ORIGIN ?? 'http://127.0.0.1:8787'}/v1`,
  apiKey: process.env.API_KEY ?? readFileSync('.local/api-key', 'utf8').trim(),
});

const stream = await openai.images.generate({ prompt, stream: true, partial_images: 3 });
for await (const event of stream) {
  const isFinal = event.type === 'image_generation.completed';
  const part = isFinal ? 'final' : `step-${event.partial_image_index + 1}`;
  const file = `${name}-${part}.${event.output_format}`;
  writeFileSync(file, Buffer.from(event.b64_json, 'base64'));
  console.log(file);
}
