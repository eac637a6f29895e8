/**
 * Writes checkpoints of any size shard by shard, with random weights in bfloat16, using little memory itself.
 *
 * Values repeat with a period of a few million; nothing that is measured on such a checkpoint depends on them.
 */
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import {
  type TensorShapes,
  type TextEncoderConfig,
  type TransformerConfig,
  textEncoderShapes,
  transformerShapes,
  type VaeConfig,
  vaeShapes,
} from './checkpoint-shapes.ts';
import { toBfloat16Bits } from './safetensors-file.ts';
import { tinyConfigs, writeTinyCheckpoint } from './tiny-checkpoint.ts';

export interface RandomCheckpointOptions {
  readonly textEncoder: Readonly<Record<string, unknown>>;
  readonly transformer: Readonly<Record<string, unknown>>;
  readonly vae: Readonly<Record<string, unknown>>;
  /** largest shard; a component that fits has a single file */
  readonly shardBytesMax: number;
  readonly onBytes?: (bytes: number) => void;
}

const BYTES_PER_VALUE = 2;
const POOL_VALUES = 4 * 2 ** 20;

/** Configurations as they are completed, and the tensors that they call for. */
export function randomCheckpointShapes(options: Omit<RandomCheckpointOptions, 'shardBytesMax'>) {
  const base = tinyConfigs();
  return {
    text_encoder: textEncoderShapes({
      ...base.textEncoder,
      ...options.textEncoder,
    } as TextEncoderConfig),
    transformer: transformerShapes({
      ...base.transformer,
      ...options.transformer,
    } as TransformerConfig),
    vae: vaeShapes({ ...base.vae, ...options.vae } as VaeConfig),
  };
}

export function checkpointBytes(shapes: Readonly<Record<string, TensorShapes>>): number {
  return Object.values(shapes).reduce((sum, tensors) => sum + bytesOf(tensors), 0);
}

export function writeRandomCheckpoint(folder: string, options: RandomCheckpointOptions): void {
  writeTinyCheckpoint(folder, { edge: null }); // tokenizer, scheduler and index; weights are replaced below
  const shapes = randomCheckpointShapes(options);
  const base = tinyConfigs();
  const parts = [
    ['text_encoder', 'model', { ...base.textEncoder, ...options.textEncoder }],
    ['transformer', 'diffusion_pytorch_model', { ...base.transformer, ...options.transformer }],
    ['vae', 'diffusion_pytorch_model', { ...base.vae, ...options.vae }],
  ] as const;
  const pool = randomPool();
  for (const [name, stem, config] of parts) {
    writeFileSync(join(folder, name, 'config.json'), JSON.stringify(config));
    writeComponent(join(folder, name), stem, shapes[name], { ...options, pool });
  }
}

function writeComponent(
  folder: string,
  stem: string,
  shapes: TensorShapes,
  options: RandomCheckpointOptions & { readonly pool: Uint8Array },
): void {
  const shards = splitIntoShards(shapes, options.shardBytesMax);
  if (shards.length === 1) {
    writeShard(join(folder, `${stem}.safetensors`), shapes, options);
    return;
  }
  const weightMap: Record<string, string> = {};
  for (const [i, shard] of shards.entries()) {
    const number = (n: number) => String(n).padStart(5, '0');
    const file = `${stem}-${number(i + 1)}-of-${number(shards.length)}.safetensors`;
    for (const name of shard.keys()) weightMap[name] = file;
    writeShard(join(folder, file), shard, options);
  }
  const index = { metadata: { total_size: bytesOf(shapes) }, weight_map: weightMap };
  writeFileSync(join(folder, `${stem}.safetensors.index.json`), JSON.stringify(index));
}

function splitIntoShards(shapes: TensorShapes, bytesMax: number): TensorShapes[] {
  const shards: TensorShapes[] = [new Map()];
  for (const [name, shape] of shapes) {
    const last = shards.at(-1)!;
    const full = last.size > 0 && bytesOf(last) + tensorBytes(shape) > bytesMax;
    if (full) shards.push(new Map([[name, shape]]));
    else last.set(name, shape);
  }
  return shards;
}

function writeShard(
  path: string,
  shapes: TensorShapes,
  { pool, onBytes }: { pool: Uint8Array; onBytes?: (bytes: number) => void },
): void {
  mkdirSync(join(path, '..'), { recursive: true });
  const header: Record<string, unknown> = {};
  let offset = 0;
  for (const [name, shape] of shapes) {
    header[name] = { dtype: 'BF16', shape, data_offsets: [offset, offset + tensorBytes(shape)] };
    offset += tensorBytes(shape);
  }
  const json = Buffer.from(JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(json.length));
  const file = openSync(path, 'w');
  try {
    writeSync(file, prefix);
    writeSync(file, json);
    for (const shape of shapes.values()) {
      for (let left = tensorBytes(shape); left > 0; ) {
        const count = Math.min(left, pool.length);
        const written = writeSync(file, pool, 0, count);
        left -= written;
        onBytes?.(written);
      }
    }
  } finally {
    closeSync(file);
  }
}

function randomPool(): Uint8Array {
  const values = new Float32Array(POOL_VALUES);
  let state = 0x2545f491;
  for (let i = 0; i < values.length; i += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = (state / 2 ** 32 - 0.5) * 0.05;
  }
  return new Uint8Array(toBfloat16Bits(values).buffer);
}

function tensorBytes(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, BYTES_PER_VALUE);
}

function bytesOf(shapes: TensorShapes): number {
  return [...shapes.values()].reduce((sum, shape) => sum + tensorBytes(shape), 0);
}
