import { describe, expect, test } from 'vitest';
import { canonicalJson, deriveSeed, type Generation, promptHash } from '#shared/prompt-hash.ts';

const cactus: Generation = {
  prompt: 'a happy cactus',
  negative_prompt: '',
  seed: 7,
  width: 128,
  height: 128,
  num_inference_steps: 4,
  guidance_hundredths: 0,
  scheduler: 'lcm',
  model: 'pixart-edge/stickers-nano',
  revision: '0'.repeat(64),
  numeric_class: 'cpu-int8',
  output_format: 'png',
  output_quality: 100,
  background: 'opaque',
  metadata: 'minimal',
  partition: 'public',
};

describe('promptHash()', () => {
  test('promptHash() is SHA-256 over the prefix, a zero byte and the canonical JSON', async () => {
    // Worked out with Python's hashlib over the JSON typed by hand.
    expect(await promptHash(cactus)).toBe(
      '90087560a33205ee606351c9253457f5a06b4f94fcfc9732bc5072c2d59c07bf',
    );
  });

  test('promptHash() does not depend on the order of members or on members it does not know', async () => {
    const reversed = Object.fromEntries(Object.entries(cactus).reverse()) as unknown as Generation;
    expect(await promptHash({ ...reversed, origin: 'https://x.example' } as Generation)).toBe(
      await promptHash(cactus),
    );
  });

  test('promptHash() changes with every member', async () => {
    const changed: Generation[] = [
      { ...cactus, prompt: 'a happy cactus.' },
      { ...cactus, prompt: 'A happy cactus' },
      { ...cactus, negative_prompt: 'a' },
      { ...cactus, seed: 8 },
      { ...cactus, width: 144 },
      { ...cactus, height: 144 },
      { ...cactus, num_inference_steps: 5 },
      { ...cactus, guidance_hundredths: 450 },
      { ...cactus, scheduler: 'dpm' },
      { ...cactus, model: 'pixart-edge/other' },
      { ...cactus, revision: '1'.repeat(64) },
      { ...cactus, numeric_class: 'cpu-fp32' },
      { ...cactus, output_format: 'webp' },
      { ...cactus, output_quality: 90 },
      { ...cactus, background: 'transparent' },
      { ...cactus, partition: 'account:a' },
    ];
    const keys = await Promise.all([cactus, ...changed].map(promptHash));
    expect(new Set(keys).size).toBe(changed.length + 1);
  });

  test('promptHash() keeps the border between two texts', async () => {
    const a = await promptHash({ ...cactus, prompt: 'a|b', negative_prompt: 'c' });
    const b = await promptHash({ ...cactus, prompt: 'a', negative_prompt: 'b|c' });
    const c = await promptHash({ ...cactus, prompt: 'a","x":"b', negative_prompt: 'c' });
    expect(new Set([a, b, c]).size).toBe(3);
  });
});

test('deriveSeed() is the first four bytes of the digest without the seed, big-endian', async () => {
  expect(await deriveSeed(cactus)).toBe(2_933_150_557);
  expect(await deriveSeed({ ...cactus, seed: 8 } as Generation)).toBe(2_933_150_557);
  expect(await deriveSeed({ ...cactus, prompt: 'a sad cactus' })).not.toBe(2_933_150_557);
});

describe('canonicalJson()', () => {
  test('canonicalJson() sorts members and leaves no white space', () => {
    expect(canonicalJson({ b: [1, true, null], a: { d: 'é', c: -0 } })).toBe(
      '{"a":{"c":0,"d":"é"},"b":[1,true,null]}',
    );
  });

  test.each([[1.5], [Number.NaN], [2 ** 53], ['\ud800'], [undefined], [() => 1], [1n]])(
    'canonicalJson() refuses %s',
    (value) => {
      expect(() => canonicalJson(value)).toThrow(TypeError);
      expect(() => canonicalJson({ a: value })).toThrow(TypeError);
    },
  );
});
