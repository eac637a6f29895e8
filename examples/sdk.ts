/**
 * The SDK on a server: previews as they come, then the picture; Ctrl-C stops the drawing too.
 *
 *     npx node examples/sdk.ts "a red apple on a white background" apple.png
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { ApiError, PixartEdge } from 'pixart-edge';

const [prompt = 'a red apple on a white background', file = 'apple.png'] = process.argv.slice(2);
const client = new PixartEdge({
  baseURL: process.env.ORIGIN ?? 'http://127.0.0.1:8787',
  apiKey: process.env.API_KEY ?? readFileSync('.local/api-key', 'utf8').trim(),
});
const controller = new AbortController();
process.once('SIGINT', () => controller.abort());

try {
  for await (const event of client.stream({ prompt }, { signal: controller.signal })) {
    if (event.type === 'preview') console.log(`step ${event.step} of ${event.steps}`);
    else {
      writeFileSync(file, await event.image.bytes());
      console.log(`${file}\tseed ${event.seed}\t${event.cache}\t${event.url}`);
    }
  }
} catch (error) {
  if (!(error instanceof ApiError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = 1;
}
