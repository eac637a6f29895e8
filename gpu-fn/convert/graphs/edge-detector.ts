/**
 * HED: which pixels of a picture lie on edges, as PixArt's control network was trained with.
 *
 * image float32 `[1, 3, H, W]`, RGB, 0–1, sides in multiples of 16 → edges float32 `[1, 1, H, W]`, 0–1.
 * Five blocks of convolutions, each on half the grid of the one before; each says its opinion in one channel, and the
 * mean of the five, enlarged to the picture, is squeezed by a sigmoid.
 *
 * @see Xie and Tu 2015 (arXiv:1504.06375); the network of ControlNet's annotators, `ControlNetHED.pth`
 */
import type { Emitter } from '../emitters/emitter.ts';
import { GraphBuilder, type Value } from '../onnx/graph-builder.ts';
import { floatSource } from '../quantize.ts';
import type { Weights } from '../weights.ts';
import { Module } from './module.ts';

const BLOCKS = [
  { channels: 64, convolutions: 2 },
  { channels: 128, convolutions: 2 },
  { channels: 256, convolutions: 3 },
  { channels: 512, convolutions: 3 },
  { channels: 512, convolutions: 3 },
] as const;
const SAME = { pads: [1, 1, 1, 1], precise: true } as const;
/** Four halvings. */
export const EDGE_SIDE_MULTIPLE = 16;

export function buildEdgeDetector(weights: Weights, emitter: Emitter): GraphBuilder {
  const g = new GraphBuilder('edge_detector');
  const root = new Module(g, emitter, weights);
  const image = g.input('image', 'float32', [
    1,
    3,
    `${EDGE_SIDE_MULTIPLE}*rows`,
    `${EDGE_SIDE_MULTIPLE}*columns`,
  ]);
  const norm = g.initializer('norm', floatSource(root.tensor('norm', [1, 3, 1, 1]), 'float32'));
  let hidden = g.cast(g.sub(g.mul(image, g.scalar(255)), norm), emitter.dtype);
  let inputs = 3;
  const opinions: Value[] = [];
  for (const [i, { channels, convolutions }] of BLOCKS.entries()) {
    const block = root.child(`block${i + 1}`);
    if (i > 0) hidden = g.maxPool2(hidden);
    for (let j = 0; j < convolutions; j += 1) {
      hidden = g.relu(
        block.conv(`convs.${j}`, hidden, { inputs, outputs: channels, kernel: 3, ...SAME }),
      );
      inputs = channels;
    }
    const opinion = block.conv('projection', hidden, {
      inputs,
      outputs: 1,
      kernel: 1,
      precise: true,
    });
    opinions.push(g.upsampleLinear(g.cast(opinion, 'float32'), 2 ** i));
  }
  const sum = opinions.reduce((total, opinion) => g.add(total, opinion));
  g.output('edges', g.sigmoid(g.mul(sum, g.scalar(1 / opinions.length))));
  return g;
}
