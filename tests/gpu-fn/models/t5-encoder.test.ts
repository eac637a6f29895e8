import { expect, it } from 'vitest';
import { T5Encoder } from '../../../gpu-fn/models/t5-encoder.ts';
import { fixtureBundle } from '../../helpers/hash-checkpoint.ts';

it('T5Encoder.embed() refuses no tokens and ids outside the vocabulary', async () => {
  await using fixture = await fixtureBundle();
  await using encoder = await T5Encoder.load(fixture.bundle);
  await expect(encoder.embed(new Int32Array(0))).rejects.toThrow(RangeError);
  await expect(encoder.embed(Int32Array.of(64))).rejects.toThrow(
    'token id 64 is outside the vocabulary of 64',
  );
  await expect(encoder.embed(Int32Array.of(-1))).rejects.toThrow(RangeError);
  expect((await encoder.embed(Int32Array.of(63))).length).toBe(encoder.channels);
});
