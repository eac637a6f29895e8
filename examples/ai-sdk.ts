/**
 * Two pictures through the AI SDK and its OpenAI-compatible provider; our extensions travel in `providerOptions`.
 *
 *     npx node examples/ai-sdk.ts "a green cat" cat
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateImage } from 'ai';

const [prompt = 'a green cat', name = 'cat'] = process.argv.slice(2);
const pixart = createOpenAICompatible({
  name: 'pixart',
  baseURL: `${process.env.ORIGIN ?? 'http://127.0.0.1:8787'}/v1`,
  apiKey: process.env.API_KEY ?? readFileSync('.local/api-key', 'utf8').trim(),
});

const { images } = await generateImage({
  // Aliases of the default model, such as this one, do too.
  model: pixart.imageModel('gpt-image-1'),
  prompt,
  n: 2,
  providerOptions: { pixart: { seed: 7, quality: 'high' } },
});
for (const [index, { uint8Array }] of images.entries()) {
  const file = `${name}-${index}.png`;
  writeFileSync(file, uint8Array);
  console.log(file);
}
