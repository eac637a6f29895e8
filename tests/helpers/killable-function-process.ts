/**
 * The stand-in for the function as a process of its own, so that it can be killed: draws for `STEP_MS` × 4 with a preview after
 * each step, and sends the picture in pieces with pauses between them.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { completedOf, pictureOf, send, startUpstream, toDataUri } from './upstream.ts';

const STEPS = 4;
const PIECES = 8;
const { SIGNING_KEY, PORT = '0', STEP_MS = '40' } = process.env;

const upstream = await startUpstream({
  port: Number(PORT),
  ...(SIGNING_KEY !== undefined && { signingKey: SIGNING_KEY }),
});
const image = toDataUri(pictureOf({ width: 16, height: 16, seed: 1, prompt: '' }));
upstream.behaviour = {
  // A comment in the middle of a record would spoil it.
  heartbeat: false,
  during: async (response, received) => {
    process.send?.({ type: 'received' });
    for (let step = 1; step <= STEPS && !response.destroyed; step += 1) {
      await sleep(Number(STEP_MS));
      send(response, 'preview', { index: 0, step, steps: STEPS, image });
    }
    const record = `event: completed\ndata: ${JSON.stringify(completedOf(received))}\n\n`;
    const size = Math.ceil(record.length / PIECES);
    for (let at = 0; at < record.length && !response.destroyed; at += size) {
      response.write(record.slice(at, at + size));
      await sleep(Number(STEP_MS) / 4);
    }
    received.outcome = 'completed';
    response.end();
  },
};
process.once('disconnect', () => process.exit(0));
process.send?.({ type: 'listening', port: Number(new URL(upstream.url).port) });
