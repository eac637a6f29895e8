import { describe, expect, test } from 'vitest';
import { findSizeFault, generateRequest, parseSize } from '#shared/schemas/generate.ts';

function fault(member: Record<string, unknown>): string | undefined {
  const parsed = generateRequest.safeParse({ prompt: 'a cactus', ...member });
  if (parsed.success) return undefined;
  const issue = parsed.error.issues[0]!;
  return `${issue.path.join('.')} ${issue.message}`;
}

describe('generateRequest', () => {
  test.each([
    { n: 1 },
    { n: 10 },
    { seed: 0 },
    { seed: 4_294_967_295 },
    { size: 'auto' },
    { size: '64x64' },
    { size: '2048x1024' },
    { width: 64, height: 2048 },
    { num_inference_steps: 1 },
    { num_inference_steps: 100 },
    { guidance_scale: 0 },
    { guidance_scale: 20 },
    { guidance_scale: 4.35 },
    { output_compression: 0 },
    { output_compression: 100 },
    { partial_images: 0 },
    { partial_images: 3 },
    { model: 'pixart-edge/stickers-nano' },
    { model: 'a'.repeat(64) },
    { output_format: 'jpg' },
    { negative_prompt: '' },
    { stream: true },
  ])('generateRequest accepts %j', (member) => {
    expect(fault(member)).toBeUndefined();
  });

  test.each([
    [{ n: 0 }, 'n must be an integer from 1 to 10, not 0'],
    [{ n: 11 }, 'n must be an integer from 1 to 10, not 11'],
    [{ n: '2' }, 'n must be an integer from 1 to 10, not "2"'],
    [{ seed: -1 }, 'seed must be an integer from 0 to 4294967295, not -1'],
    [{ seed: 4_294_967_296 }, 'seed must be an integer from 0 to 4294967295, not 4294967296'],
    [{ seed: 1.5 }, 'seed must be an integer from 0 to 4294967295, not 1.5'],
    [
      { seed: Number.POSITIVE_INFINITY },
      'seed must be an integer from 0 to 4294967295, not Infinity',
    ],
    [{ size: '63x64' }, 'size 63x64: each side must be from 64 to 2048 pixels'],
    [{ size: '2064x64' }, 'size 2064x64: each side must be from 64 to 2048 pixels'],
    [{ size: '100x128' }, 'size 100x128: 100 is not a multiple of 16'],
    [{ size: '2048x1040' }, 'size 2048x1040 has 2129920 pixels, 2097152 are allowed'],
    [{ size: '128' }, 'size must be "auto" or WIDTHxHEIGHT, not "128"'],
    [{ size: 128 }, 'size must be a string such as "128x128", not 128'],
    [{ width: 48 }, 'width must be an integer from 64 to 2048, not 48'],
    [{ height: 72 }, 'height 72 is not a multiple of 16'],
    [{ num_inference_steps: 0 }, 'num_inference_steps must be an integer from 1 to 100, not 0'],
    [{ num_inference_steps: 101 }, 'num_inference_steps must be an integer from 1 to 100, not 101'],
    [
      { guidance_scale: 7.005 },
      'guidance_scale must be a number from 0 to 20 with at most two decimals, not 7.005',
    ],
    [
      { guidance_scale: 20.01 },
      'guidance_scale must be a number from 0 to 20 with at most two decimals, not 20.01',
    ],
    [{ output_format: 'PNG' }, 'output_format must be one of png, jpeg, jpg, webp, not "PNG"'],
    [{ model: '/etc/passwd' }, 'model must be a name or owner/name'],
    [{ model: 'a/b/c' }, 'model must be a name or owner/name'],
    [{ model: 'a'.repeat(65) }, 'model must be a name or owner/name'],
    [{ stream: 'true' }, 'stream must be true or false, not "true"'],
    [{ partial_images: 4 }, 'partial_images must be an integer from 0 to 3, not 4'],
    [{ metadata: {} }, 'metadata must be one of minimal, full, not an object'],
    [{ prompt: ['a'] }, 'prompt must be a string, not an array'],
  ])('generateRequest refuses %j and names the value and the limit', (member, message) => {
    expect(fault(member)).toBe(message);
  });

  test('generateRequest reads null as absent everywhere but in the prompt', () => {
    const names = Object.keys(generateRequest.shape).filter((name) => name !== 'prompt');
    expect(fault(Object.fromEntries(names.map((name) => [name, null])))).toBeUndefined();
    expect(fault({ prompt: null })).toBe('prompt must be a string, not null');
  });

  test('generateRequest hands on the code of a prompt that is refused', () => {
    const parsed = generateRequest.safeParse({ prompt: ' ' });
    const issue = parsed.error?.issues[0];
    expect(issue?.code === 'custom' && issue.params?.code).toBe('prompt_empty');
  });

  test('generateRequest keeps its messages short, whatever was sent', () => {
    expect(fault({ n: 'x'.repeat(10_000) })!.length).toBeLessThan(120);
    expect(fault({ n: `${'x'.repeat(39)}🌵🌵` })!.isWellFormed()).toBe(true);
  });
});

test('parseSize() reads width before height', () => {
  expect(parseSize('256x128')).toEqual([256, 128]);
  expect(parseSize('auto')).toBeUndefined();
});

test('findSizeFault() takes 2,097,152 pixels', () => {
  expect(findSizeFault('2048x1024')).toBeUndefined();
  expect(findSizeFault('1024x2048')).toBeUndefined();
});
