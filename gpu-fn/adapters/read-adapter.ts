/**
 * A low-rank adapter from a safetensors file that nobody has checked.
 *
 * | written by          | names                                                                        | factor γ when the file has none |
 * |---------------------|------------------------------------------------------------------------------|---------------------------------|
 * | PEFT                | `base_model.model.<module>.lora_A(.default).weight`, `adapter_config.json`    | alpha / r, alpha from the configuration, else 8 |
 * | PixArt's scripts    | `unet.<module>.lora_A.weight`                                                | 8 / r                           |
 * | diffusers           | `transformer.<module>.lora_A.weight`, `lora_adapter_metadata`                | 1                               |
 * | kohya               | `lora_unet_<module, dots as underscores>.lora_down.weight`, `….alpha`        | 1                               |
 * | any of them         | modules as PixArt's own code names them (`blocks.0.attn.qkv`)                |                                 |
 *
 * Everything is refused that would be applied in part or otherwise than it was trained: unknown modules, shapes of
 * another model, half of a pair, DoRA, trained biases.
 */
import * as z from 'zod';
import { ServiceError } from '#shared/errors.ts';
import { CheckpointError } from '../safetensors/errors.ts';
import { originalModuleParts } from '../safetensors/original-names.ts';
import type { TensorEntry, TensorStore } from '../safetensors/safetensors.ts';
import { toFloat32 } from '../safetensors/to-float32.ts';
import type { ModuleShapes } from './adaptable-modules.ts';

/** The update of one module, γ included: W + B·A. */
export interface LoraLayer {
  readonly rank: number;
  /** `[r, in…]`, row-major */
  readonly a: Float32Array;
  /** `[out, r…]`, row-major, times γ */
  readonly b: Float32Array;
}

/** By module. */
export type LoraLayers = ReadonlyMap<string, LoraLayer>;

/** PEFT's own default, which PixArt's training scripts leave as it is. */
const PEFT_ALPHA = 8;
export const RANK_MAX = 1024;
/** Larger numbers are no weights: they end as infinities in the picture. */
const MAGNITUDE_MAX = 1e6;

const count = z.number().positive().max(1e6);

/** `adapter_config.json` of PEFT: what changes the arithmetic. */
export const adapterConfigSchema = z.object({
  peft_type: z.literal('LORA').default('LORA'),
  r: z.int().min(1).max(RANK_MAX).optional(),
  lora_alpha: count.optional(),
  use_rslora: z.boolean().nullish(),
  use_dora: z.literal(false, { error: 'DoRA is not applied here' }).nullish(),
  bias: z.literal('none', { error: 'trained biases are not applied here' }).nullish(),
  modules_to_save: z
    .array(z.string())
    .max(0, { error: 'whole modules are not replaced here' })
    .nullish(),
  alpha_pattern: z.record(z.string().max(256), count).nullish(),
});
export type AdapterConfig = z.infer<typeof adapterConfigSchema>;

/**
 * @param store    an opened safetensors file
 * @param modules  what the model has
 * @param config   PEFT's configuration, when there is one
 * @throws {ServiceError} `adapter_invalid` saying what is wrong with which tensor
 */
export async function readAdapter(
  store: TensorStore,
  modules: ModuleShapes,
  config: AdapterConfig | undefined = metadataConfig(store),
): Promise<LoraLayers> {
  try {
    return await readLayers(store, modules, config);
  } catch (error) {
    if (error instanceof CheckpointError)
      throw invalid(error.message.replace(`${store.path}: `, ''));
    throw error;
  }
}

async function readLayers(
  store: TensorStore,
  modules: ModuleShapes,
  config: AdapterConfig | undefined,
): Promise<LoraLayers> {
  const pairs = pairUp(store);
  if (pairs.size === 0) throw invalid('the file holds no lora_A and lora_B');
  const layers = new Map<string, LoraLayer>();
  for (const [name, pair] of pairs) {
    const { a, b } = pair;
    if (a === undefined || b === undefined) {
      throw invalid(`${name} has only ${a === undefined ? 'lora_B' : 'lora_A'}`);
    }
    const rank = a.shape[0] ?? 0;
    if (rank < 1 || rank > RANK_MAX) {
      throw invalid(`${name}: rank ${rank} is not from 1 to ${RANK_MAX}`);
    }
    const parts = resolve(name, modules);
    if (parts.length === 0) throw invalid(`${name} is no module of this model that takes adapters`);
    const down = await floats(store, a);
    const up = await floats(store, b);
    const factor = await factorOf(store, { name, rank, pair, config });
    for (let i = 0; i < up.length; i += 1) up[i] = up[i]! * factor;
    for (const { module, index, count: partCount } of parts) {
      const [outputs, ...inputs] = modules.get(module)! as [number, ...number[]];
      checkShape(`${name}.lora_A`, a.shape, [rank, ...inputs]);
      checkShape(`${name}.lora_B`, b.shape, [
        outputs * partCount,
        rank,
        ...inputs.slice(1).map(() => 1),
      ]);
      if (layers.has(module)) throw invalid(`${module} is adapted twice`);
      const size = outputs * rank;
      layers.set(module, { rank, a: down, b: up.subarray(index * size, (index + 1) * size) });
    }
  }
  return layers;
}

interface Pair {
  a?: TensorEntry;
  b?: TensorEntry;
  alpha?: TensorEntry;
  /** what the prefix of the names says about a missing alpha */
  peft: boolean;
}

const NAME =
  /^(base_model\.model\.|unet\.|transformer\.|lora_unet_|lora_transformer_)?(.+?)\.(?:(lora_A|lora_B|lora_down|lora_up)(?:\.[A-Za-z0-9_-]{1,64})?\.weight|(lora_A|lora_B)|(alpha))$/;
const PEFT_PREFIXES: readonly string[] = ['base_model.model.', 'unet.'];

function pairUp(store: TensorStore): Map<string, Pair> {
  const pairs = new Map<string, Pair>();
  for (const entry of store.entries.values()) {
    if (entry.name.includes('lora_magnitude_vector')) throw invalid('DoRA is not applied here');
    const match = entry.name.length > 512 ? null : NAME.exec(entry.name);
    if (match === null) throw invalid(`tensor ${show(entry.name)} belongs to no adapter`);
    const [, prefix = '', module, long, short, alpha] = match;
    const pair = pairs.get(module!) ?? { peft: PEFT_PREFIXES.includes(prefix) };
    const kind = long ?? short ?? alpha;
    const slot = kind === 'alpha' ? 'alpha' : kind === 'lora_A' || kind === 'lora_down' ? 'a' : 'b';
    if (pair[slot] !== undefined) throw invalid(`${show(module!)} has two of ${kind}`);
    pair[slot] = entry;
    pairs.set(module!, pair);
  }
  return pairs;
}

/** The modules that a name stands for, however it is spelled. */
function resolve(name: string, modules: ModuleShapes) {
  if (modules.has(name)) return [{ module: name, index: 0, count: 1 }];
  const parts = originalModuleParts(name);
  if (parts.length > 0) return parts.filter(({ module }) => modules.has(module));
  for (const module of modules.keys()) {
    if (module.replaceAll('.', '_') === name) return [{ module, index: 0, count: 1 }];
  }
  return [];
}

/** γ of one module. */
async function factorOf(
  store: TensorStore,
  args: { name: string; rank: number; pair: Pair; config: AdapterConfig | undefined },
): Promise<number> {
  const { name, rank, pair, config } = args;
  if (pair.alpha !== undefined) {
    const [alpha] = await floats(store, pair.alpha);
    if (alpha === undefined || pair.alpha.shape.some((size) => size !== 1)) {
      throw invalid(`${name}.alpha is no number`);
    }
    return alpha / rank;
  }
  if (config === undefined) return pair.peft ? PEFT_ALPHA / rank : 1;
  const pattern = Object.entries(config.alpha_pattern ?? {}).find(
    ([suffix]) => name === suffix || name.endsWith(`.${suffix}`),
  );
  const alpha = pattern?.[1] ?? config.lora_alpha ?? PEFT_ALPHA;
  return alpha / (config.use_rslora === true ? Math.sqrt(rank) : rank);
}

/** What diffusers writes into the header of newer files: PEFT's configuration under `transformer.`. */
function metadataConfig(store: TensorStore): AdapterConfig | undefined {
  const text = store.metadata.get('lora_adapter_metadata');
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid('lora_adapter_metadata is malformed JSON');
  }
  const members = Object.entries(value !== null && typeof value === 'object' ? value : {});
  return parseAdapterConfig(
    Object.fromEntries(
      members.map(([key, member]) => [key.replace(/^(transformer|unet)\./, ''), member]),
    ),
  );
}

/** @throws {ServiceError} `adapter_invalid` naming the member */
export function parseAdapterConfig(value: unknown): AdapterConfig {
  const parsed = adapterConfigSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw invalid(`adapter_config.json: ${issue?.path.join('.')}: ${issue?.message}`);
}

async function floats(store: TensorStore, entry: TensorEntry): Promise<Float32Array> {
  const values = toFloat32(await store.read(entry.name, 0, entry.byteLength), entry);
  if (values === undefined) throw invalid(`${show(entry.name)}: ${entry.dtype} is no float`);
  for (const value of values) {
    // A comparison with NaN is false, so the test is what must hold.
    if (!(Math.abs(value) <= MAGNITUDE_MAX)) {
      throw invalid(`${show(entry.name)} holds ${value}; the limit is ${MAGNITUDE_MAX}`);
    }
  }
  return values;
}

function checkShape(name: string, shape: readonly number[], expected: readonly number[]): void {
  if (shape.join() !== expected.join()) {
    throw invalid(
      `${show(name)} is [${shape.join(', ')}], this model makes it [${expected.join(', ')}]`,
    );
  }
}

function show(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
}

function invalid(detail: string): ServiceError {
  return new ServiceError('adapter_invalid', { detail });
}
