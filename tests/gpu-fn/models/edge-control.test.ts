import { mkdirSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convertCheckpoint } from '../../../gpu-fn/convert/convert.ts';
import { EdgeControl } from '../../../gpu-fn/models/edge-control.ts';
import { HedEdgeDetector } from '../../../gpu-fn/models/edge-detector.ts';
import type { Pixels } from '../../../gpu-fn/pipeline/components.ts';
import { type Bundle, loadBundle } from '../../../gpu-fn/runtime/bundle.ts';
import { liveSessionCount } from '../../../gpu-fn/runtime/session.ts';
import { controlShapes, edgeDetectorShapes } from '../../helpers/checkpoint-shapes.ts';
import { writeFixtureCheckpoint } from '../../helpers/hash-checkpoint.ts';
import { type TemporaryFolder, temporaryFolder } from '../../helpers/temporary-folder.ts';
import { writeTensors } from '../../helpers/tiny-checkpoint.ts';

const DRAWN = [32, 16] as const;

let folder: TemporaryFolder;
let bundle: Bundle;
let control: EdgeControl;
beforeAll(async () => {
  folder = temporaryFolder();
  const checkpoint = writeFixtureCheckpoint(`${folder.path}/checkpoint`);
  mkdirSync(`${checkpoint}/controlnet`);
  writeFileSync(`${checkpoint}/controlnet/config.json`, JSON.stringify({ num_layers: 1 }));
  writeTensors(
    `${checkpoint}/controlnet/diffusion_pytorch_model.safetensors`,
    controlShapes(24, 1),
    'float32',
  );
  writeTensors(`${checkpoint}/edge_detector/model.safetensors`, edgeDetectorShapes(), 'float32');
  await convertCheckpoint({ checkpoint, out: `${folder.path}/bundle`, precision: 'fp32' });
  bundle = await loadBundle(`${folder.path}/bundle`);
  control = new EdgeControl(bundle);
});
afterAll(async () => {
  await control[Symbol.asyncDispose]();
  expect(liveSessionCount()).toBe(0);
  await folder[Symbol.asyncDispose]();
});

/** A dark square on white. */
function picture(width: number, height: number): Pixels {
  const data = new Uint8Array(width * height * 3).fill(255);
  for (let y = 4; y < height - 4; y += 1) data.fill(20, (y * width + 4) * 3, (y * width + 12) * 3);
  return { data, width, height, channels: 3 };
}

describe('EdgeControl.prepare()', () => {
  it('gives latents of the drawing’s size and the edges that the detector finds', async () => {
    const image = picture(...DRAWN);
    const prepared = await control.prepare({ image, scale: 0.5 }, { drawn: DRAWN, seed: 1 });
    expect(prepared.scale).toBe(0.5);
    expect(prepared.latents).toHaveLength(4 * 8 * 16);
    expect(prepared.edges).toMatchObject({ width: 32, height: 16, channels: 3 });
    await using detector = await HedEdgeDetector.load(bundle);
    const planes = Float32Array.from({ length: image.data.length }, (_, i) => {
      const pixels = image.data.length / 3;
      return image.data[(i % pixels) * 3 + Math.floor(i / pixels)]! / 255;
    });
    const edges = await detector.detect({ image: planes, height: 16, width: 32 });
    for (const i of [0, 100, 511]) {
      expect(prepared.edges.data[i * 3]).toBe(Math.round(edges[i]! * 255));
    }
  });

  it('gives the same again for one seed, and other noise for another', async () => {
    const draw = async (seed: number) =>
      (await control.prepare({ image: picture(32, 16), scale: 1 }, { drawn: DRAWN, seed })).latents;
    const first = await draw(7);
    expect(await draw(7)).toEqual(first);
    expect(await draw(8)).not.toEqual(first);
  });

  it('lays transparency on white and takes pictures of any size', async () => {
    const opaque = picture(64, 64);
    const data = new Uint8Array(64 * 64 * 4);
    for (let i = 0; i < 64 * 64; i += 1) {
      const dark = opaque.data[i * 3] === 20;
      data.set(dark ? [20, 20, 20, 255] : [0, 0, 0, 0], i * 4);
    }
    const clear: Pixels = { data, width: 64, height: 64, channels: 4 };
    const options = { drawn: DRAWN, seed: 1 };
    expect((await control.prepare({ image: clear, scale: 1 }, options)).edges).toEqual(
      (await control.prepare({ image: opaque, scale: 1 }, options)).edges,
    );
  });
});
