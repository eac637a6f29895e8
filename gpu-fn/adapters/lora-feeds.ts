/**
 * Adapters with weights → what the `*_lora` graphs are fed: one A and one B for every module.
 *
 * Several adapters are one of the sum of their ranks: x·A₁·B₁·w₁ + x·A₂·B₂·w₂ = x·[A₁ A₂]·[w₁B₁; w₂B₂].
 */
import type { Feeds, Tensor } from '../runtime/session.ts';
import type { ModuleShapes } from './adaptable-modules.ts';
import type { LoraLayer, LoraLayers } from './read-adapter.ts';

export interface WeightedAdapter {
  readonly layers: LoraLayers;
  /** multiplies the update, −2…2 */
  readonly weight: number;
}

/** By input name, for every module of the model; modules that no adapter changes get zeros of rank 1. */
export function loraFeeds(adapters: readonly WeightedAdapter[], modules: ModuleShapes): Feeds {
  const feeds: Record<string, Tensor> = {};
  for (const [module, shape] of modules) {
    const parts = adapters.flatMap(({ layers, weight }) => {
      const layer = layers.get(module);
      return layer === undefined || weight === 0 ? [] : [{ layer, weight }];
    });
    const [a, b] = shape.length === 2 ? linearPair(parts, shape) : convolutionPair(parts, shape);
    feeds[`${module}.lora_A`] = a;
    feeds[`${module}.lora_B`] = b;
  }
  return feeds;
}

type Parts = readonly { readonly layer: LoraLayer; readonly weight: number }[];

/** A `[in, R]` and B `[R, out]`, the sides that MatMul wants. */
function linearPair(parts: Parts, shape: readonly number[]): [Tensor, Tensor] {
  const [outputs, inputs] = shape as readonly [number, number];
  const total = totalRank(parts);
  const a = new Float32Array(inputs * total);
  const b = new Float32Array(total * outputs);
  let first = 0;
  for (const { layer, weight } of parts) {
    for (let r = 0; r < layer.rank; r += 1) {
      for (let i = 0; i < inputs; i += 1) a[i * total + first + r] = layer.a[r * inputs + i]!;
      const row = (first + r) * outputs;
      for (let o = 0; o < outputs; o += 1) b[row + o] = layer.b[o * layer.rank + r]! * weight;
    }
    first += layer.rank;
  }
  return [
    { dtype: 'float32', data: a, shape: [inputs, total] },
    { dtype: 'float32', data: b, shape: [total, outputs] },
  ];
}

/** A `[R, in, k, k]` and B `[out, R, 1, 1]`, kernels of two convolutions. */
function convolutionPair(parts: Parts, shape: readonly number[]): [Tensor, Tensor] {
  const [outputs, ...rest] = shape as readonly [number, ...number[]];
  const inputs = rest.reduce((product, size) => product * size, 1);
  const total = totalRank(parts);
  const a = new Float32Array(total * inputs);
  const b = new Float32Array(outputs * total);
  let first = 0;
  for (const { layer, weight } of parts) {
    a.set(layer.a, first * inputs);
    for (let o = 0; o < outputs; o += 1) {
      for (let r = 0; r < layer.rank; r += 1) {
        b[o * total + first + r] = layer.b[o * layer.rank + r]! * weight;
      }
    }
    first += layer.rank;
  }
  return [
    { dtype: 'float32', data: a, shape: [total, ...rest] },
    { dtype: 'float32', data: b, shape: [outputs, total, 1, 1] },
  ];
}

/** At least 1: a product over nothing has no kernel. */
function totalRank(parts: Parts): number {
  return Math.max(
    parts.reduce((sum, { layer }) => sum + layer.rank, 0),
    1,
  );
}
