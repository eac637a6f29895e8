/**
 * Checkpoint → bundle.
 *
 * The bundle is written into a folder beside its destination and renamed when everything is on disk, so whatever
 * interrupts a conversion, no folder that loads is left behind. Weights stream from file to file.
 */
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { looksLikeBundle } from '../runtime/bundle.ts';
import {
  type BundlePrecision,
  type BundleTarget,
  type GraphName,
  MANIFEST_FILE,
  type Manifest,
} from '../runtime/manifest.ts';
import { CheckpointError } from '../safetensors/errors.ts';
import { buildTokenizerJson, parseSentencePieceModel } from '../tokenizer/sentencepiece-model.ts';
import { calibrateVae, type VaeCalibration } from './calibrate.ts';
import { type Checkpoint, openCheckpoint } from './checkpoint.ts';
import { type DescribeOptions, describeModel } from './describe-model.ts';
import { createEmitter } from './emitters/create-emitter.ts';
import { FloatEmitter } from './emitters/float.ts';
import { LoraEmitter } from './emitters/lora.ts';
import { buildControl } from './graphs/controlnet.ts';
import { buildEdgeDetector } from './graphs/edge-detector.ts';
import { buildDenoise, buildTransformer } from './graphs/pixart-transformer.ts';
import { buildTextEncoder } from './graphs/t5-encoder.ts';
import { buildVaeDecoder } from './graphs/vae-decoder.ts';
import { buildVaeEncoder } from './graphs/vae-encoder.ts';
import type { WrittenFile } from './onnx/external-data.ts';
import type { GraphBuilder } from './onnx/graph-builder.ts';
import { describe, writeGraph, writeSharingGraph } from './write-graph.ts';

export interface ConvertOptions {
  /** folder in diffusers layout */
  readonly checkpoint: string;
  /** folder of the bundle; an earlier bundle there is replaced, anything else is refused */
  readonly out: string;
  readonly target?: BundleTarget;
  readonly precision?: BundlePrecision;
  /** Model id and licence when the checkpoint does not state them. */
  readonly id?: string | undefined;
  readonly license?: string | undefined;
  /** Whether to convert the VAE's encoder too; default true when the checkpoint has one. */
  readonly vaeEncoder?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: ConvertProgress) => void) | undefined;
}

export interface ConvertProgress {
  readonly stage: 'calibrate' | 'write';
  /** graph being written */
  readonly graph?: GraphName;
  /** of weights */
  readonly bytesDone: number;
  readonly bytesTotal: number;
}

/** A destination that must not be overwritten. */
export class DestinationError extends Error {
  override readonly name = 'DestinationError';
}

/**
 * Converts a checkpoint and returns the manifest of the bundle.
 *
 * @throws {CheckpointError} when the checkpoint is malformed or describes a model that we do not draw
 * @throws {DestinationError} when `out` exists and is no bundle
 * @throws the signal's reason when aborted; nothing is left at `out` then but what was there before
 */
export async function convertCheckpoint(options: ConvertOptions): Promise<Manifest> {
  const out = resolve(options.out);
  options.signal?.throwIfAborted();
  await checkDestination(out);
  await using checkpoint = await openCheckpoint(options.checkpoint);
  await removeAbandoned(out);
  const partial = `${out}.partial-${process.pid}`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { recursive: true });
  try {
    const manifest = await writeBundle(checkpoint, partial, options);
    options.signal?.throwIfAborted();
    await replace(partial, out);
    return manifest;
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

async function writeBundle(
  checkpoint: Checkpoint,
  folder: string,
  options: ConvertOptions,
): Promise<Manifest> {
  const { target = 'cpu', signal, onProgress } = options;
  const precision = options.precision ?? DEFAULT_PRECISION[target];
  const withEncoder = options.vaeEncoder ?? checkpoint.vae.weights.hasPrefix('encoder.');
  const plan = { target, precision, withEncoder };
  const described: DescribeOptions = {
    id: options.id ?? checkpoint.edge.id ?? idFromFolder(options.checkpoint),
    license: options.license ?? checkpoint.edge.license ?? 'unknown',
    target,
    precision,
  };
  // Everything that can be refused without long work is refused first.
  describeModel(checkpoint, { files: {}, graphs: {}, tokenizer: TOKENIZER }, described);
  const tokenizer = buildTokenizer(checkpoint, options.checkpoint);
  const networks = await buildNetworks(checkpoint, plan);
  onProgress?.({ stage: 'calibrate', bytesDone: 0, bytesTotal: 0 });
  const calibration = await calibrate(checkpoint, folder, { ...plan, signal });
  const graphs: Graphs = { ...networks, ...(await buildVae(checkpoint, plan, calibration)) };

  const files: Record<string, WrittenFile> = {};
  const written: Manifest['graphs'] = {};
  const bytesTotal = Object.values(graphs).reduce((sum, g) => sum + g.externalBytes, 0);
  let bytesDone = 0;
  for (const [name, graph] of Object.entries(graphs) as [GraphName, GraphBuilder][]) {
    const onBytes = (bytes: number) => {
      bytesDone += bytes;
      onProgress?.({ stage: 'write', graph: name, bytesDone, bytesTotal });
    };
    const { files: own, ...parts } = await writeGraph(folder, name, graph, { signal, onBytes });
    Object.assign(files, own);
    written[name] = parts;
  }
  for (const { name, graph, sharedWith } of buildSharing(checkpoint, plan)) {
    const base = graphs[sharedWith]!;
    const { data } = written[sharedWith]!;
    const { files: own, ...parts } = await writeSharingGraph(folder, name, { graph, base, data });
    Object.assign(files, own);
    written[name] = parts;
  }

  await writeFile(join(folder, TOKENIZER), tokenizer, { flag: 'wx' });
  files[TOKENIZER] = describe(tokenizer);
  const manifest = describeModel(
    checkpoint,
    { files, graphs: written, tokenizer: TOKENIZER },
    described,
  );
  await writeFile(join(folder, MANIFEST_FILE), `${JSON.stringify(manifest, null, 2)}\n`, {
    flag: 'wx',
  });
  return manifest;
}

const TOKENIZER = 'tokenizer.json';

const DEFAULT_PRECISION = { cpu: 'int8', cuda: 'fp16' } as const satisfies Record<
  BundleTarget,
  BundlePrecision
>;

type Graphs = Partial<Record<GraphName, GraphBuilder>>;

interface Plan {
  readonly target: BundleTarget;
  readonly precision: BundlePrecision;
  readonly withEncoder: boolean;
}

async function calibrate(
  checkpoint: Checkpoint,
  folder: string,
  { target, precision, withEncoder, signal }: Plan & { signal: AbortSignal | undefined },
): Promise<VaeCalibration | undefined> {
  if (target !== 'cpu' || precision !== 'int8') return undefined;
  const scratch = join(folder, 'calibration');
  const nativeSide = checkpoint.transformer.config.sample_size;
  await mkdir(scratch);
  try {
    return await calibrateVae(checkpoint.vae, { scratch, withEncoder, nativeSide, signal });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Text encoder and transformer, and the proof that each of their tensors is used once. */
async function buildNetworks(
  { textEncoder, transformer, control, edgeDetector }: Checkpoint,
  plan: Plan,
): Promise<Graphs> {
  const graphs = {
    text_encoder: buildTextEncoder(textEncoder.config, textEncoder.weights, createEmitter(plan)),
    ...buildTransformer(transformer.config, transformer.weights, createEmitter(plan)),
  };
  await textEncoder.weights.finish();
  await transformer.weights.finish();
  const controlGraphs =
    control &&
    buildControl(
      {
        transformer: transformer.config,
        base: () => transformer.account(),
        weights: control.weights,
        blockCount: control.config.num_layers,
      },
      createEmitter(plan),
    );
  await control?.weights.finish();
  // Small beside the rest, and its output is looked at: floats, on every target.
  const detector = edgeDetector && {
    edge_detector: buildEdgeDetector(edgeDetector.weights, new FloatEmitter()),
  };
  await edgeDetector?.weights.finish();
  return { ...graphs, ...controlGraphs, ...detector };
}

interface SharingGraph {
  readonly name: GraphName;
  readonly graph: GraphBuilder;
  readonly sharedWith: GraphName;
}

/** The transformer with other inputs, on the same weights: low-rank updates, and what a control network adds. */
function buildSharing({ transformer, control }: Checkpoint, plan: Plan): SharingGraph[] {
  const { config } = transformer;
  const adapted = buildTransformer(
    config,
    transformer.account(),
    new LoraEmitter(createEmitter(plan)),
  );
  const sharing: SharingGraph[] = [
    { name: 'prompt_lora', graph: adapted.prompt, sharedWith: 'prompt' },
    { name: 'condition_lora', graph: adapted.condition, sharedWith: 'condition' },
    { name: 'denoise_lora', graph: adapted.denoise, sharedWith: 'denoise' },
  ];
  if (control !== undefined) {
    const controlBlocks = control.config.num_layers;
    const emitter = createEmitter(plan);
    const graph = buildDenoise(config, transformer.account(), emitter, { controlBlocks });
    sharing.push({ name: 'denoise_control', graph, sharedWith: 'denoise' });
  }
  return sharing;
}

/** The same for the VAE. */
async function buildVae(
  { vae }: Checkpoint,
  plan: Plan,
  calibration: VaeCalibration | undefined,
): Promise<Graphs> {
  const { config, weights } = vae;
  const graphs: Graphs = {
    vae_decoder: buildVaeDecoder(config, weights, createEmitter(plan, calibration?.decoder)),
  };
  if (plan.withEncoder) {
    graphs.vae_encoder = buildVaeEncoder(
      config,
      weights,
      createEmitter(plan, calibration?.encoder),
    );
  } else {
    weights.leaveOut('encoder.');
    weights.leaveOut('quant_conv.');
  }
  await weights.finish();
  return graphs;
}

function buildTokenizer({ spieceModel, textEncoder }: Checkpoint, checkpoint: string): Buffer {
  const json = buildTokenizerJson(parseSentencePieceModel(spieceModel));
  const pieces = json.model.vocab.length;
  const { vocab_size: rows } = textEncoder.config;
  if (pieces > rows) {
    throw new CheckpointError(
      `${checkpoint}: tokenizer/spiece.model has ${pieces} pieces, the text encoder ${rows} rows`,
    );
  }
  return Buffer.from(JSON.stringify(json));
}

async function checkDestination(out: string): Promise<void> {
  let names: string[];
  try {
    names = await readdir(out);
  } catch (error) {
    if (isCode(error, 'ENOENT')) return;
    throw new DestinationError(`${out} is not a folder`, { cause: error });
  }
  if (names.length > 0 && !(await looksLikeBundle(out))) {
    throw new DestinationError(`${out} holds files and no bundle; it is left as it is`);
  }
}

/** Rename is atomic, replacing a folder is not: the old bundle steps aside first. */
async function replace(partial: string, out: string): Promise<void> {
  const old = `${out}.partial-${process.pid}-old`;
  await rm(old, { recursive: true, force: true });
  try {
    await rename(out, old);
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error;
  }
  await rename(partial, out);
  await rm(old, { recursive: true, force: true });
}

/** Folders that conversions to the same place left when their process was killed. */
async function removeAbandoned(out: string): Promise<void> {
  const parent = dirname(out);
  await mkdir(parent, { recursive: true });
  const prefix = `${basename(out)}.partial-`;
  for (const name of await readdir(parent)) {
    if (!name.startsWith(prefix)) continue;
    const pid = Number.parseInt(name.slice(prefix.length), 10);
    if (Number.isInteger(pid) && !isAlive(pid)) {
      await rm(join(parent, name), { recursive: true, force: true });
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !isCode(error, 'ESRCH');
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

function idFromFolder(checkpoint: string): string {
  const id = basename(resolve(checkpoint))
    .replaceAll(/[^A-Za-z0-9._-]/g, '-')
    .slice(0, 64);
  if (id === '') throw new CheckpointError(`${checkpoint}: no model id; give one`);
  return id;
}
