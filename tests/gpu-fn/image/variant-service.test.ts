import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { VariantService } from '../../../gpu-fn/image/variant-service.ts';

const picture = await sharp({
  create: { width: 1024, height: 1024, channels: 3, background: '#a50' },
})
  .png()
  .toBuffer();
const variant = { format: 'webp', width: 128, quality: 80 } as const;
const never = new AbortController().signal;

describe('VariantService', () => {
  it('refuses what finds no place, and takes the next one when there is room again', async () => {
    const service = new VariantService({ slotCount: 1, queueDepthMax: 1, deadlineMs: 10_000 });
    const first = service.make(picture, variant, never);
    const second = service.make(picture, variant, never);
    await expect(service.make(picture, variant, never)).rejects.toMatchObject({
      code: 'overloaded',
      retryAfterMs: 1000,
    });
    expect(await first).toEqual(await second);
    expect((await service.make(picture, variant, never)).length).toBeGreaterThan(100);
  });

  it('gives up at its deadline while it waits', async () => {
    // Noise at full size is work for much longer than the deadline, so the place stays taken.
    const noise = await sharp({
      create: {
        width: 1024,
        height: 1024,
        channels: 3,
        noise: { type: 'gaussian', mean: 128, sigma: 60 },
        background: '#000',
      },
    })
      .png({ compressionLevel: 1 })
      .toBuffer();
    const service = new VariantService({ slotCount: 1, queueDepthMax: 8, deadlineMs: 25 });
    const first = service.make(noise, { ...variant, width: 1024 }, never);
    await expect(service.make(picture, variant, never)).rejects.toMatchObject({
      code: 'deadline_exceeded',
    });
    // Its own work may be stopped too, on a slow machine.
    await Promise.allSettled([first]);
  });

  it('gives up the place of a caller that has left', async () => {
    const service = new VariantService({ slotCount: 1, queueDepthMax: 1, deadlineMs: 10_000 });
    const first = service.make(picture, variant, never);
    const leaving = new AbortController();
    const second = service.make(picture, variant, leaving.signal);
    leaving.abort(new Error('gone'));
    await expect(second).rejects.toThrow('gone');
    await Promise.all([first, service.make(picture, variant, never)]);
  });
});
