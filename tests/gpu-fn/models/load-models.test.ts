import { rm } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { createModels } from '../../../gpu-fn/models/load-models.ts';
import { liveSessionCount, SessionError } from '../../../gpu-fn/runtime/session.ts';
import { fixtureBundle } from '../../helpers/hash-checkpoint.ts';
import { hashInput } from '../../helpers/hash-tensor.ts';

describe('createModels()', () => {
  it('wires text encoder, transformer and decoder, and releases every session', async () => {
    await using fixture = await fixtureBundle();
    const models = await createModels(fixture.bundle, { threads: 1 });
    expect(liveSessionCount()).toBe(6);
    const prompt = await models.textEncoder.encode(Int32Array.of(5, 7, 1));
    expect(prompt.tokenCount).toBe(3);
    const latents = hashInput('latents', [1, 4, 8, 8]);
    const size = { latents, height: 8, width: 8 };
    const noisePred = await models.transformer.predict({ ...size, timestep: 999, prompt });
    expect(noisePred.length).toBe(4 * 8 * 8);
    expect((await models.vaeDecoder.decode(size)).length).toBe(16 * 16 * 3);
    await models.dispose();
    expect(liveSessionCount()).toBe(0);
  });

  it('releases what it opened when a later graph cannot be loaded', async () => {
    await using fixture = await fixtureBundle();
    await rm(`${fixture.bundle.folder}/vae_decoder.onnx`);
    await expect(createModels(fixture.bundle)).rejects.toThrow(SessionError);
    expect(liveSessionCount()).toBe(0);
  });
});
