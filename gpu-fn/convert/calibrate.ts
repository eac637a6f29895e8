/**
 * Ranges of the VAE's convolutions, measured by running its float32 graphs on pictures drawn here.
 *
 * The pictures are simple shapes on plain and graded backdrops, encoded by the checkpoint's own encoder so that the
 * decoder sees latents like those of real pictures, and noise latents for what pictures do not reach. Everything is
 * seeded: one checkpoint always gives the same bundle.
 */
import { join } from 'node:path';
import { floatData, openSession, type Session } from '../runtime/session.ts';
import { createRandom } from '../tensor/random.ts';
import type { Component } from './checkpoint.ts';
import type { VaeConfig } from './configs.ts';
import { CalibrationEmitter } from './emitters/calibration.ts';
import type { Calibration, ConvRange } from './emitters/int8-cpu.ts';
import { buildVaeDecoder } from './graphs/vae-decoder.ts';
import { buildVaeEncoder } from './graphs/vae-encoder.ts';
import { writeGraph } from './write-graph.ts';

export interface CalibrateOptions {
  /** an empty folder for the float32 graphs; the caller removes it */
  readonly scratch: string;
  readonly withEncoder: boolean;
  /** latent cells along one side of the model's native size */
  readonly nativeSide: number;
  readonly signal?: AbortSignal | undefined;
}

const PICTURE_COUNT = 5;
const NOISE_COUNT = 2;
/** Latent cells along one side, 128 px for the published factor of 8, unless the model's own size is smaller. */
const LATENT_SIDE_MAX = 16;
const SEED = 20_240_110;

export interface VaeCalibration {
  readonly decoder: Calibration;
  readonly encoder: Calibration;
}

export async function calibrateVae(
  vae: Component<VaeConfig>,
  { scratch, withEncoder, nativeSide, signal }: CalibrateOptions,
): Promise<VaeCalibration> {
  const { config } = vae;
  const random = createRandom(SEED);
  const latentSide = Math.min(nativeSide, LATENT_SIDE_MAX);
  const shape = [1, config.latent_channels, latentSide, latentSide];
  const size = shape.reduce((a, b) => a * b);
  const latents = Array.from({ length: NOISE_COUNT }, () => random.normal(size));

  const encoder = new Map<string, ConvRange>();
  if (withEncoder) {
    const emitter = new CalibrationEmitter();
    await writeGraph(scratch, 'encoder', buildVaeEncoder(config, vae.account(), emitter), {
      signal,
    });
    await using session = await openSession(join(scratch, 'encoder.onnx'));
    const side = latentSide * 2 ** (config.block_out_channels.length - 1);
    for (let i = 0; i < PICTURE_COUNT; i += 1) {
      signal?.throwIfAborted();
      const data = drawPicture(i, side, config.in_channels);
      const feeds = {
        sample: { dtype: 'float32', data, shape: [1, config.in_channels, side, side] },
      } as const;
      const outputs = await observe(session, feeds, emitter.observed, encoder);
      latents.push(floatData(outputs.mean).map((value) => value * config.scaling_factor));
    }
  }

  const decoder = new Map<string, ConvRange>();
  const emitter = new CalibrationEmitter();
  await writeGraph(scratch, 'decoder', buildVaeDecoder(config, vae.account(), emitter), { signal });
  await using session = await openSession(join(scratch, 'decoder.onnx'));
  for (const data of latents) {
    signal?.throwIfAborted();
    await observe(
      session,
      { latents: { dtype: 'float32', data, shape } },
      emitter.observed,
      decoder,
    );
  }
  return { decoder, encoder };
}

async function observe(
  session: Session,
  feeds: Parameters<Session['run']>[0],
  names: readonly string[],
  ranges: Map<string, ConvRange>,
): ReturnType<Session['run']> {
  const outputs = await session.run(feeds);
  for (const name of names) {
    const known = ranges.get(name);
    const input = floatData(outputs[`${name}/input`])[0]!;
    const largest = floatData(outputs[`${name}/outputs`]);
    ranges.set(name, {
      input: Math.max(input, known?.input ?? 0),
      outputs: largest.map((value, channel) => Math.max(value, known?.outputs[channel] ?? 0)),
    });
  }
  return outputs;
}

/** A disc, ring or box of one colour on a plain or graded backdrop: float32 `[1, channels, side, side]`, −1…1. */
export function drawPicture(index: number, side: number, channels: number): Float32Array {
  const picture = new Float32Array(channels * side * side);
  const colour = (phase: number) => [0, 1, 2].map((c) => Math.sin(index * 1.7 + phase + c * 2.1));
  const [inside, top, bottom] = [colour(0), colour(2.5), index % 2 === 0 ? colour(2.5) : colour(4)];
  for (let y = 0; y < side; y += 1) {
    for (let x = 0; x < side; x += 1) {
      const u = (2 * x) / side - 1;
      const v = (2 * y) / side - 1;
      const distance = index % 3 === 2 ? Math.max(Math.abs(u), Math.abs(v)) : Math.hypot(u, v);
      const isInside = distance < 0.65 && (index % 3 !== 1 || distance > 0.35);
      // Every third picture is white outside and transparent where there is a fourth channel.
      const isClear = index % 3 === 0 && !isInside;
      const mix = (v + 1) / 2;
      for (let c = 0; c < channels; c += 1) {
        const shade = isInside ? inside![c] : top![c]! * (1 - mix) + bottom![c]! * mix;
        const value = c === 3 ? (isClear ? -1 : 1) : isClear ? 1 : shade!;
        picture[(c * side + y) * side + x] = value;
      }
    }
  }
  return picture;
}
