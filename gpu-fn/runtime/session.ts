/**
 * Sessions of ONNX Runtime: the only file that imports it.
 *
 * Runs and loads are synchronous inside the native library and block the event loop of their thread, so serving
 * code keeps sessions in a worker thread. Cancellation is between runs.
 */
import { readFileSync } from 'node:fs';
import * as ort from 'onnxruntime-node';

/** A tensor as it crosses into and out of a session; halves stay inside (the native binding refuses Float16Array). */
export type Tensor =
  | { readonly dtype: 'float32'; readonly data: Float32Array; readonly shape: readonly number[] }
  | { readonly dtype: 'int32'; readonly data: Int32Array; readonly shape: readonly number[] }
  | { readonly dtype: 'uint8'; readonly data: Uint8Array; readonly shape: readonly number[] };

export type Feeds = Readonly<Record<string, Tensor>>;

export interface SessionOptions {
  /** threads of one run; default 1, which is the fastest on a host with other load */
  readonly threads?: number;
  readonly provider?: 'cpu' | 'cuda';
  /** false: weights stay as they are mapped from disk, which is slower and holds them once. Default true. */
  readonly prepack?: boolean;
  /** Writes the graph as the runtime optimised it; for tests that look at fusions. */
  readonly optimizedModelPath?: string;
}

export interface Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /**
   * @param outputs  names of the outputs to copy out; default all
   * @throws {SessionError} when inputs do not fit the graph or the session is disposed
   */
  run(feeds: Feeds, outputs?: readonly string[]): Promise<Record<string, Tensor>>;
  /** Releases the native session; later runs throw. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** A failure inside ONNX Runtime; the message names the graph. */
export class SessionError extends Error {
  override readonly name = 'SessionError';
}

let liveSessions = 0;

/** Sessions opened and not yet disposed of in this thread: tests fail on a leak. */
export function liveSessionCount(): number {
  return liveSessions;
}

/** `x.y.z` of the ONNX Runtime in use. */
export function runtimeVersion(): string {
  return ort.env.versions.node ?? ort.env.versions.common;
}

/**
 * Loads a graph by path, so that external weights are memory-mapped.
 *
 * @throws {SessionError} when the graph cannot be loaded, or the provider is not there
 */
export async function openSession(
  path: string,
  { threads = 1, provider = 'cpu', prepack = true, optimizedModelPath }: SessionOptions = {},
): Promise<Session> {
  let session: ort.InferenceSession;
  try {
    session = await ort.InferenceSession.create(path, {
      executionProviders: [provider],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      graphOptimizationLevel: 'all',
      enableCpuMemArena: true,
      enableMemPattern: true,
      logSeverityLevel: 3,
      ...(optimizedModelPath === undefined ? {} : { optimizedModelFilePath: optimizedModelPath }),
      extra: extraOptions(prepack)[provider],
    });
  } catch (cause) {
    throw new SessionError(`${path}: ${messageOf(cause)}`, { cause });
  }
  liveSessions += 1;
  return new OrtSession(session, path);
}

/** Every leaf must be a string. */
const extraOptions = (prepack: boolean) => ({
  cpu: {
    session: {
      intra_op: { allow_spinning: '0' },
      ...(prepack ? {} : { disable_prepacking: '1' }),
      x64quantprecision: hasExactInt8(cpuFlags()) ? '0' : '1',
    },
    // The fused kernel is scalar code: 5 times slower than Add and LayerNormalization apart.
    optimization: { disable_specified_optimizers: 'SkipLayerNormFusion' },
  },
  cuda: {
    session: { use_device_allocator_for_initializers: '1' },
    // MatMul + Add → Gemm adds the bias by a second, K = 1 matrix product over the whole output.
    optimization: { disable_specified_optimizers: 'MatMulAddFusion' },
  },
});

/**
 * Whether the CPU sums uint8 × int8 products without saturating.
 *
 * x64 without VNNI adds pairs of products in 16 bits and clips them, which ruins a network without a word; ONNX
 * Runtime then has an exact kernel, about a third slower, that must be asked for. Other architectures have no such
 * instruction.
 *
 * @param flags  the words of `flags` in /proc/cpuinfo; undefined where there is no such file
 */
export function hasExactInt8(flags: ReadonlySet<string> | undefined, arch = process.arch): boolean {
  if (arch !== 'x64') return true;
  return flags !== undefined && (flags.has('avx512_vnni') || flags.has('avx_vnni'));
}

function cpuFlags(): ReadonlySet<string> | undefined {
  let text: string;
  try {
    text = readFileSync('/proc/cpuinfo', 'latin1');
  } catch {
    return undefined; // not Linux: the exact kernel is right everywhere
  }
  const line = /^flags\s*:(.*)$/m.exec(text);
  return line === null ? undefined : new Set(line[1]!.trim().split(/\s+/));
}

class OrtSession implements Session {
  readonly #session: ort.InferenceSession;
  readonly #path: string;
  #disposed = false;

  constructor(session: ort.InferenceSession, path: string) {
    this.#session = session;
    this.#path = path;
  }

  get inputNames(): readonly string[] {
    return this.#session.inputNames;
  }

  get outputNames(): readonly string[] {
    return this.#session.outputNames;
  }

  async run(
    feeds: Feeds,
    outputs: readonly string[] = this.outputNames,
  ): Promise<Record<string, Tensor>> {
    if (this.#disposed) throw new SessionError(`${this.#path}: the session is disposed`);
    const tensors: Record<string, ort.Tensor> = {};
    for (const [name, { dtype, data, shape }] of Object.entries(feeds)) {
      tensors[name] = new ort.Tensor(dtype, data, shape);
    }
    let results: ort.InferenceSession.OnnxValueMapType;
    try {
      results = await this.#session.run(tensors, [...outputs]);
    } catch (cause) {
      throw new SessionError(`${this.#path}: ${messageOf(cause)}`, { cause });
    }
    const out: Record<string, Tensor> = {};
    for (const name of outputs) out[name] = fromOrt(results[name], `${this.#path}: output ${name}`);
    return out;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    liveSessions -= 1;
    await this.#session.release();
  }
}

function fromOrt(value: ort.OnnxValue | undefined, where: string): Tensor {
  if (value === undefined || !('type' in value)) throw new SessionError(`${where} is no tensor`);
  const { type, data, dims } = value;
  if (type === 'float32' && data instanceof Float32Array) return { dtype: type, data, shape: dims };
  if (type === 'int32' && data instanceof Int32Array) return { dtype: type, data, shape: dims };
  if (type === 'uint8' && data instanceof Uint8Array) return { dtype: type, data, shape: dims };
  throw new SessionError(`${where} has dtype ${type}`);
}

/** float32 data of an output; its dtype is a fact of our graphs. */
export function floatData(tensor: Tensor | undefined): Float32Array {
  if (tensor?.dtype !== 'float32') throw new SessionError(`expected float32, got ${tensor?.dtype}`);
  return tensor.data;
}

export function byteData(tensor: Tensor | undefined): Uint8Array {
  if (tensor?.dtype !== 'uint8') throw new SessionError(`expected uint8, got ${tensor?.dtype}`);
  return tensor.data;
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
