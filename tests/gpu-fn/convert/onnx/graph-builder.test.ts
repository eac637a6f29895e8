import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../../../../gpu-fn/convert/onnx/graph-builder.ts';
import { ShapeError } from '../../../../gpu-fn/convert/onnx/shape.ts';
import { arraySource } from '../../../../gpu-fn/convert/quantize.ts';
import { writeGraph } from '../../../../gpu-fn/convert/write-graph.ts';
import { openSession } from '../../../../gpu-fn/runtime/session.ts';
import { temporaryFolder } from '../../../helpers/temporary-folder.ts';

const builder = () => new GraphBuilder('test');

describe('GraphBuilder shapes', () => {
  it('names the scope, the operator and both shapes when an addition does not fit', () => {
    const g = builder();
    const x = g.input('x', 'float32', [1, 'tokens', 8]);
    const y = g.input('y', 'float32', [1, 'tokens', 9]);
    expect(() => g.scope('transformer_blocks.3').scope('attn1').add(x, y)).toThrow(
      new ShapeError('transformer_blocks.3.attn1.Add: x [1, tokens, 8] and y [1, tokens, 9]'),
    );
  });

  it('refuses operands of two dtypes', () => {
    const g = builder();
    const x = g.input('x', 'float32', [2]);
    const y = g.input('y', 'float16', [2]);
    expect(() => g.mul(x, y)).toThrow(ShapeError);
    expect(() =>
      g.matMul(g.input('a', 'float32', [2, 2]), g.input('b', 'float16', [2, 2])),
    ).toThrow(ShapeError);
  });

  it.each<[string, (g: GraphBuilder) => unknown]>([
    [
      'a matrix product',
      (g) => g.matMul(g.input('a', 'float32', [2, 3]), g.input('b', 'float32', [4, 5])),
    ],
    [
      'a product of vectors',
      (g) => g.matMul(g.input('a', 'float32', [3]), g.input('b', 'float32', [3, 5])),
    ],
    ['a reshape', (g) => g.reshape(g.input('a', 'float32', ['n', 6]), ['n', 7])],
    [
      'a reshape to sizes nobody has',
      (g) => g.reshape(g.input('a', 'float32', ['2*n*m']), ['n', '2*m']),
    ],
    [
      'a convolution’s channels',
      (g) =>
        g.conv(
          g.input('a', 'float32', [1, 3, 'h', 'w']),
          g.input('w', 'float32', [8, 4, 1, 1]),
          undefined,
        ),
    ],
    [
      'a convolution that eats its border',
      (g) =>
        g.conv(
          g.input('a', 'float32', [1, 3, 'h', 'w']),
          g.input('w', 'float32', [8, 3, 3, 3]),
          undefined,
        ),
    ],
    [
      'heads that do not divide the width',
      (g) => {
        const x = g.input('x', 'float32', [1, 'n', 10]);
        return g.multiHeadAttention({ q: x, k: x, v: x }, { heads: 3, scale: 1 });
      },
    ],
    [
      'keys and values of two lengths',
      (g) =>
        g.multiHeadAttention(
          {
            q: g.input('q', 'float32', [1, 'n', 8]),
            k: g.input('k', 'float32', [1, 't', 8]),
            v: g.input('v', 'float32', [1, 'u', 8]),
          },
          { heads: 2, scale: 1 },
        ),
    ],
    ['a split with a rest', (g) => g.split(g.input('a', 'float32', [1, 7]), 1, 2)],
    [
      'a concatenation',
      (g) => g.concat([g.input('a', 'float32', [1, 7]), g.input('b', 'float32', [2, 7])], 1),
    ],
    ['a permutation', (g) => g.transpose(g.input('a', 'float32', [1, 7]), [0, 0])],
    [
      'a norm’s scale',
      (g) =>
        g.rmsNormalization(g.input('a', 'float32', [1, 7]), g.input('s', 'float32', [6]), 1e-6),
    ],
    [
      'signed activations',
      (g) =>
        g.matMulIntegerToFloat(
          g.input('a', 'int8', [2, 3]),
          g.input('b', 'int8', [3, 4]),
          g.scalar(1),
          g.input('s', 'float32', [4]),
          g.scalar(0, 'int8'),
        ),
    ],
    ['an axis that is not there', (g) => g.split(g.input('a', 'float32', [4]), 1, 2)],
    [
      'an output name twice',
      (g) => {
        const x = g.input('x', 'float32', [1]);
        g.output('y', x);
        g.output('y', x);
      },
    ],
    ['a constant of the wrong length', (g) => g.constant('int64', [2], [1])],
    [
      'a constant that belongs into external data',
      (g) => g.constant('float32', [20_000], Array<number>(20_000).fill(0)),
    ],
  ])('throws ShapeError for %s', (_what, build) => {
    expect(() => build(builder())).toThrow(ShapeError);
  });

  it('infers products of symbolic sizes through patches and back', () => {
    const g = builder();
    const x = g.input('x', 'float32', [1, 4, '2*rows', '2*columns']);
    const w = g.input('w', 'float32', [16, 4, 2, 2]);
    const patches = g.conv(x, w, undefined, { stride: 2 });
    expect(patches.shape).toEqual([1, 16, 'rows', 'columns']);
    expect(g.depthToSpace(patches, 2).shape).toEqual([1, 4, '2*rows', '2*columns']);
    const flat = g.reshape(patches, [1, 16, 'columns*rows']);
    expect(g.transpose(flat, [0, 2, 1]).shape).toEqual([1, 'columns*rows', 16]);
  });
});

describe('GraphBuilder names', () => {
  it('gives nodes of one kind and scope different names', () => {
    const g = builder();
    const x = g.input('x', 'float32', [1]);
    const names = [g.scope('a').add(x, x), g.scope('a').add(x, x), g.scope('b').add(x, x)].map(
      (v) => v.name,
    );
    expect(new Set(names).size).toBe(3);
    expect(names[0]).toBe('a.Add/out');
    expect(names[2]).toBe('b.Add/out');
  });

  it('keeps equal constants once and tells 0 from −0', () => {
    const g = builder();
    expect(g.scalar(1)).toBe(g.scope('elsewhere').scalar(1));
    expect(g.scalar(0)).not.toBe(g.scalar(-0));
    expect(g.scalar(1)).not.toBe(g.scalar(1, 'float16'));
  });

  it('names initialisers as the checkpoint names its tensors', () => {
    const g = builder();
    const weight = g
      .scope('encoder')
      .scope('o')
      .initializer('weight', arraySource(Float32Array.of(1), [1]));
    expect(weight.name).toBe('encoder.o.weight');
  });
});

describe('GraphBuilder graphs', () => {
  it('run in ONNX Runtime with the shapes that were inferred', async () => {
    await using folder = temporaryFolder();
    const g = builder();
    const x = g.input('x', 'float32', [1, 2, 'rows', 'columns']);
    const grown = g.upsampleNearest2(x);
    const parts = g.split(grown, 1, 2);
    const sum = g.add(parts[0]!, g.mul(parts[1]!, g.scalar(10)));
    const tokens = g.reshape(sum, [1, 'columns*rows', 4]);
    g.output('tokens', tokens);
    g.output('count', g.cast(g.rangeOf(tokens, 1), 'int32'));
    await writeGraph(folder.path, 'test', g);
    await using session = await openSession(`${folder.path}/test.onnx`);
    const data = Float32Array.of(1, 2, 3, 4, 5, 6);
    const outputs = await session.run({
      x: { dtype: 'float32', data: Float32Array.of(...data, ...data), shape: [1, 2, 2, 3] },
    });
    expect(outputs.tokens?.shape).toEqual([1, 6, 4]);
    expect([...outputs.tokens!.data.slice(0, 6)]).toEqual([11, 11, 22, 22, 33, 33]);
    expect([...outputs.count!.data]).toEqual([0, 1, 2, 3, 4, 5]);
  });
});
