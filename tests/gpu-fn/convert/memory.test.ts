import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import {
  checkpointBytes,
  randomCheckpointShapes,
  writeRandomCheckpoint,
} from '../../helpers/random-checkpoint.ts';
import { temporaryFolder } from '../../helpers/temporary-folder.ts';

const MAIN = join(import.meta.dirname, '../../../gpu-fn/convert/main.ts');

/** 321 MB; the text encoder in shards, of which one holds its table of 134 MB and the others matrices of 12 MB. */
const OPTIONS = {
  textEncoder: {
    vocab_size: 65_536,
    d_model: 1024,
    d_kv: 64,
    num_heads: 16,
    d_ff: 6144,
    num_layers: 4,
  },
  transformer: { caption_channels: 1024 },
  vae: {},
  shardBytesMax: 1e8,
};

/** Node, ONNX Runtime and their heap take about 200 MB; one tensor in pieces and one matrix come on top. */
const RSS_BYTES_MAX = 310e6;

it('convert keeps its memory far below the size of the checkpoint', async () => {
  await using folder = temporaryFolder();
  const [checkpoint, out] = [`${folder.path}/checkpoint`, `${folder.path}/bundle`];
  expect(checkpointBytes(randomCheckpointShapes(OPTIONS))).toBeGreaterThan(RSS_BYTES_MAX);
  writeRandomCheckpoint(checkpoint, OPTIONS);
  expect(
    (await readdir(`${checkpoint}/text_encoder`)).filter((name) => name.includes('-of-')).length,
  ).toBeGreaterThan(2);

  const child = spawn(
    process.execPath,
    [MAIN, '--checkpoint', checkpoint, '--out', out, '--json'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  const [code] = (await once(child, 'close')) as [number];
  expect(code).toBe(0);
  const { max_rss_bytes: maxRssBytes } = JSON.parse(stdout) as { max_rss_bytes: number };
  expect(maxRssBytes).toBeLessThan(RSS_BYTES_MAX);
}, 300_000);
