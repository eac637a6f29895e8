/**
 * One picture through OpenAI's own client: only the base URL and the key are ours.
 *
 *     npx node examples/openai-client.ts "a red apple on a white background" apple.png
 */
import { readFileSync, writeFileSync } from 'node:fs';
import OpenAI from 'openai';

const [prompt = 'a red apple on a white background', file = 'apple.png'] = process.argv.slice(2);
const openai = new OpenAI({
  baseURL: `${process.env.ORIGIN ?? 'http://127.0.0.1:8787'}/v1`,
  apiKey: process.env.API_KEY ?? readFileSync('.local/api-key', 'utf8').trim(),
});

const { data } = await openai.images.generate({ prompt, size: '256x256' });
writeFileSync(file, Buffer.from(data?.[0]?.b64_json ?? '', 'base64'));
console.log(file);
