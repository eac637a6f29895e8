/** Which emitter a target and a precision take. */
import type { BundlePrecision, BundleTarget } from '../../runtime/manifest.ts';
import { CheckpointError } from '../../safetensors/errors.ts';
import { CudaEmitter } from './cuda.ts';
import type { Emitter } from './emitter.ts';
import { FloatEmitter } from './float.ts';
import { type Calibration, Int8CpuEmitter } from './int8-cpu.ts';

export function createEmitter(
  { target, precision }: { target: BundleTarget; precision: BundlePrecision },
  calibration?: Calibration,
): Emitter {
  switch (`${target}-${precision}` as const) {
    case 'cpu-int8':
      return new Int8CpuEmitter(calibration);
    case 'cpu-fp32':
      return new FloatEmitter();
    case 'cuda-fp16':
      return new CudaEmitter({ weights: 'fp16' });
    case 'cuda-int8':
      return new CudaEmitter({ weights: 'int8' });
    default:
      throw new CheckpointError(`there is no ${precision} for ${target}`);
  }
}
