/**
 * Claim: on this machine 8-bit layers beat float32 ones from these widths on, and narrow convolutions do not.
 *
 *   npx node bench/convert-kernels.ts
 *
 * Prints CPU milliseconds of one thread (least of 15 runs; other load counts little in CPU time) for linear layers
 * `[tokens, in] × [in, out]` and for pairs of 3×3 convolutions with a SiLU between them. The converter's limits
 * (`CONV_CHANNELS_MIN`, `FAN_IN_MIN` in gpu-fn/convert/emitters/int8-cpu.ts) are read off this table.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Emitter } from '../gpu-fn/convert/emitters/emitter.ts';
import { FloatEmitter } from '../gpu-fn/convert/emitters/float.ts';
import { Int8CpuEmitter } from '../gpu-fn/convert/emitters/int8-cpu.ts';
import { GraphBuilder, type Value } from '../gpu-fn/convert/onnx/graph-builder.ts';
import type { Shape } from '../gpu-fn/convert/onnx/shape.ts';
import type { WeightReader } from '../gpu-fn/convert/tensor-reader.ts';
import { writeGraph } from '../gpu-fn/convert/write-graph.ts';
import { openSession } from '../gpu-fn/runtime/session.ts';
import { createRandom } from '../gpu-fn/tensor/random.ts';

const LINEAR = [
  [64, 256, 256],
  [64, 256, 1024],
  [256, 1152, 1152],
  [256, 1152, 4608],
] as const;
const CONVOLUTIONS = [
  [16, 128],
  [32, 64],
  [32, 128],
  [64, 32],
  [64, 64],
  [128, 32],
  [128, 64],
  [256, 32],
] as const;
const RUNS = 15;
const WARM_UPS = 3;

const folder = await mkdtemp(join(tmpdir(), 'convert-kernels-'));
try {
  for (const [tokens, inputs, outputs] of LINEAR) {
    const weight = randomWeight('w', [outputs, inputs]);
    const input = { shape: [1, tokens, inputs], declared: [1, 'tokens', inputs] };
    const build = (emitter: Emitter) => (g: GraphBuilder, x: Value) =>
      emitter.linear(g, emitter.prepare(g, x), weight);
    await report(`linear ${tokens} × ${inputs} → ${outputs}`, input, {
      float: build(new FloatEmitter()),
      int8: build(new Int8CpuEmitter()),
    });
  }
  for (const [channels, side] of CONVOLUTIONS) {
    const weight = randomWeight('w', [channels, channels, 3, 3]);
    const bias = randomWeight('b', [channels]);
    const input = { shape: [1, channels, side, side], declared: [1, channels, 'rows', 'columns'] };
    const ranges = new Map([['w', { input: 9, outputs: new Float32Array(channels).fill(5) }]]);
    const build = (emitter: Emitter) => (g: GraphBuilder, x: Value) => {
      const spec = { precise: false, pads: [1, 1, 1, 1] } as const;
      const first = emitter.conv(g.scope('first'), x, weight, bias, spec);
      return emitter.conv(g.scope('second'), g.silu(first), weight, bias, spec);
    };
    await report(`2 convolutions ${channels} channels, ${side}²`, input, {
      float: build(new FloatEmitter()),
      int8: build(new Int8CpuEmitter(ranges)),
    });
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}

interface Input {
  readonly shape: readonly number[];
  readonly declared: Shape;
}

type Build = (g: GraphBuilder, x: Value) => Value;

async function report(
  title: string,
  input: Input,
  builds: { float: Build; int8: Build },
): Promise<void> {
  const float = await leastCpuMs(`${title} float`, input, builds.float);
  const int8 = await leastCpuMs(`${title} int8`, input, builds.int8);
  const ratio = (float / int8).toFixed(2);
  console.log(
    `${title.padEnd(36)} float32 ${float.toFixed(2)} ms, int8 ${int8.toFixed(2)} ms, × ${ratio}`,
  );
}

async function leastCpuMs(
  title: string,
  { shape, declared }: Input,
  build: Build,
): Promise<number> {
  const name = title.replaceAll(/\W+/g, '-');
  const g = new GraphBuilder(name);
  g.output('y', build(g, g.input('x', 'float32', declared)));
  await writeGraph(folder, name, g);
  await using session = await openSession(join(folder, `${name}.onnx`));
  const data = createRandom(2).normal(shape.reduce((a, b) => a * b));
  const feeds = { x: { dtype: 'float32', data, shape } } as const;
  for (let i = 0; i < WARM_UPS; i += 1) await session.run(feeds);
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < RUNS; i += 1) {
    const before = process.cpuUsage();
    await session.run(feeds);
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, (user + system) / 1000);
  }
  return least;
}

function randomWeight(name: string, shape: readonly number[]): WeightReader {
  const rowLength = shape.slice(1).reduce((a, b) => a * b, 1);
  const data = createRandom(1)
    .normal(shape[0]! * rowLength)
    .map((value) => value / Math.sqrt(rowLength));
  return {
    name,
    shape,
    rowCount: shape[0]!,
    rowLength,
    isQuantized: false,
    pieces: () => [{ start: 0, count: shape[0]! }],
    floatRows: async (start, count) => data.slice(start * rowLength, (start + count) * rowLength),
    quantizedRows: async () => {
      throw new TypeError(`${name} is not stored as int8`);
    },
  };
}
