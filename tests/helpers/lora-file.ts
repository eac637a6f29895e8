/** Adapter files for tests: hash-filled pairs for chosen modules, in any of the spellings. */
import { writeFileSync } from 'node:fs';
import type { ModuleShapes } from '../../gpu-fn/adapters/adaptable-modules.ts';
import { hashWeight } from './hash-tensor.ts';
import { encodeSafetensors, type TensorToWrite } from './safetensors-file.ts';

export interface LoraFileOptions {
  /** Name that the hash of every tensor begins with. */
  readonly name: string;
  readonly rank: number;
  readonly modules: ModuleShapes;
  /** Which modules get a pair. Default all. */
  readonly only?: (module: string) => boolean;
  /** Name of a tensor in the file. Default PEFT's. */
  readonly spell?: (module: string, part: 'lora_A' | 'lora_B') => string;
  /** Stored for every module, as kohya does. */
  readonly alpha?: number;
}

/** An update is small beside the weights, as in training/goldens/adapters.py. */
const B_SCALE = 0.125;

export function loraTensors(options: LoraFileOptions): Record<string, TensorToWrite> {
  const { name, rank, modules, only = () => true, alpha } = options;
  const spell = options.spell ?? ((module, part) => `base_model.model.${module}.${part}.weight`);
  const tensors: Record<string, TensorToWrite> = {};
  const put = (module: string, part: 'lora_A' | 'lora_B', shape: readonly number[]) => {
    const data = hashWeight(`${name}.${module}.${part}.weight`, shape);
    if (part === 'lora_B') for (const [i, value] of data.entries()) data[i] = value * B_SCALE;
    tensors[spell(module, part)] = { dtype: 'F32', shape, data };
  };
  for (const [module, [outputs, ...inputs]] of modules) {
    if (!only(module)) continue;
    put(module, 'lora_A', [rank, ...inputs]);
    put(module, 'lora_B', [outputs!, rank, ...inputs.slice(1).map(() => 1)]);
    if (alpha !== undefined) {
      const alphaName = spell(module, 'lora_A').replace(/\.lora_[a-zA-Z]+\.weight$/, '.alpha');
      tensors[alphaName] = { dtype: 'F32', shape: [], data: Float32Array.of(alpha) };
    }
  }
  return tensors;
}

export function writeLora(path: string, options: LoraFileOptions): void {
  writeFileSync(path, encodeSafetensors(loraTensors(options), { format: 'pt' }));
}
