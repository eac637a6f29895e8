import { writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../../../gpu-fn/convert/onnx/graph-builder.ts';
import { arraySource } from '../../../gpu-fn/convert/quantize.ts';
import { writeGraph } from '../../../gpu-fn/convert/write-graph.ts';
import {
  hasExactInt8,
  liveSessionCount,
  openSession,
  SessionError,
} from '../../../gpu-fn/runtime/session.ts';
import { temporaryFolder } from '../../helpers/temporary-folder.ts';

/** y = x · 3, z = x + x */
async function writeExample(folder: string): Promise<string> {
  const g = new GraphBuilder('example');
  const x = g.input('x', 'float32', ['n']);
  g.output('y', g.mul(x, g.initializer('factor', arraySource(Float32Array.of(3), [1]))));
  g.output('z', g.add(x, x));
  await writeGraph(folder, 'example', g);
  return `${folder}/example.onnx`;
}

const feeds = { x: { dtype: 'float32', data: Float32Array.of(1, 2), shape: [2] } } as const;

describe('openSession()', () => {
  it('runs a graph and copies out only what is asked for', async () => {
    await using folder = temporaryFolder();
    await using session = await openSession(await writeExample(folder.path));
    expect([...session.inputNames]).toEqual(['x']);
    expect([...session.outputNames]).toEqual(['y', 'z']);
    const all = await session.run(feeds);
    expect([...all.y!.data]).toEqual([3, 6]);
    expect([...all.z!.data]).toEqual([2, 4]);
    expect(Object.keys(await session.run(feeds, ['z']))).toEqual(['z']);
  });

  it('counts live sessions and refuses to run a disposed one', async () => {
    await using folder = temporaryFolder();
    const path = await writeExample(folder.path);
    expect(liveSessionCount()).toBe(0);
    const session = await openSession(path);
    expect(liveSessionCount()).toBe(1);
    await session[Symbol.asyncDispose]();
    await session[Symbol.asyncDispose]();
    expect(liveSessionCount()).toBe(0);
    await expect(session.run(feeds)).rejects.toThrow('the session is disposed');
  });

  it('names the graph when it cannot be loaded or its inputs do not fit', async () => {
    await using folder = temporaryFolder();
    const broken = `${folder.path}/broken.onnx`;
    await writeFile(broken, 'no model');
    await expect(openSession(broken)).rejects.toThrow(SessionError);
    await expect(openSession(broken)).rejects.toThrow(broken);
    expect(liveSessionCount()).toBe(0);
    await using session = await openSession(await writeExample(folder.path));
    await expect(session.run({})).rejects.toThrow(SessionError);
    const wrong = { x: { dtype: 'int32', data: Int32Array.of(1), shape: [1] } } as const;
    await expect(session.run(wrong)).rejects.toThrow('example.onnx');
  });

  it('says so when the CUDA provider is not there', async () => {
    await using folder = temporaryFolder();
    const path = await writeExample(folder.path);
    await expect(openSession(path, { provider: 'cuda' })).rejects.toThrow(SessionError);
  });
});

describe('int8 products', () => {
  it('are exact at the ends of both ranges on this CPU', async () => {
    await using folder = temporaryFolder();
    const g = new GraphBuilder('product');
    const [K, N] = [64, 8];
    const a = g.input('a', 'uint8', [1, 1, K]);
    const values = {
      dtype: 'int8',
      shape: [K, N],
      chunks: () => [new Uint8Array(K * N).fill(127)],
    } as const;
    g.output(
      'y',
      g.matMulIntegerToFloat(
        a,
        g.initializer('b', values),
        g.scalar(1),
        g.initializer('scale', arraySource(new Float32Array(N).fill(1), [N])),
        g.scalar(128, 'uint8'),
      ),
    );
    await writeGraph(folder.path, 'product', g);
    await using session = await openSession(`${folder.path}/product.onnx`);
    const data = new Uint8Array(K).fill(255);
    const { y } = await session.run({ a: { dtype: 'uint8', data, shape: [1, 1, K] } });
    // A kernel that sums pairs in 16 bits would clip 255·127·2.
    expect([...y!.data]).toEqual(Array<number>(N).fill(127 * 127 * K));
  });
});

describe('hasExactInt8()', () => {
  it('looks for VNNI on x64 only, and is careful where it cannot see', () => {
    expect(hasExactInt8(new Set(['avx2', 'avx512_vnni']), 'x64')).toBe(true);
    expect(hasExactInt8(new Set(['avx2', 'avx_vnni']), 'x64')).toBe(true);
    expect(hasExactInt8(new Set(['avx2', 'avx512f']), 'x64')).toBe(false);
    expect(hasExactInt8(undefined, 'x64')).toBe(false);
    expect(hasExactInt8(undefined, 'arm64')).toBe(true);
  });
});
