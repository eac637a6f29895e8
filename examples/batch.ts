/**
 * A file for each line of standard input, four at a time. What has been drawn before costs nothing the second time.
 *
 *     printf 'a cat\na dog\n' | npx node examples/batch.ts pictures
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import OpenAI from 'openai';

const AT_ONCE = 4;
const [folder = 'pictures'] = process.argv.slice(2);
const openai = new OpenAI({
  baseURL: `${process.env.ORIGIN ?? 'http://127.0.0.1:8787'}/v1`,
  apiKey: process.env.API_KEY ?? readFileSync('.local/api-key', 'utf8').trim(),
  // Waits as long as Retry-After says when there is too much at once.
  maxRetries: 5,
});

const prompts = (await text(process.stdin)).split('\n').filter((line) => line.trim() !== '');
mkdirSync(folder, { recursive: true });
const queue = prompts.entries();
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    for (const [index, prompt] of queue) {
      const { data } = await openai.images.generate({ prompt });
      const file = path.join(folder, `${String(index).padStart(3, '0')}.png`);
      writeFileSync(file, Buffer.from(data?.[0]?.b64_json ?? '', 'base64'));
      console.log(`${file}\t${prompt}`);
    }
  }),
);
