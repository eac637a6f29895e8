import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { insertPngXmp } from '../../../gpu-fn/image/png-itxt.ts';
import { readXmp } from '../../helpers/read-xmp.ts';

const png = await sharp({
  create: { width: 4, height: 4, channels: 3, background: '#336699' },
})
  .png()
  .toBuffer();

describe('insertPngXmp()', () => {
  it('insertPngXmp() adds one chunk after IHDR and leaves every other byte alone', () => {
    const marked = Buffer.from(insertPngXmp(png, '<x>ä</x>'));
    const added = marked.length - png.length;
    expect(readXmp(marked)).toEqual({ packet: '<x>ä</x>', parts: ['IHDR', 'iTXt'] });
    expect(Buffer.concat([marked.subarray(0, 33), marked.subarray(33 + added)])).toEqual(png);
  });

  it('insertPngXmp() refuses what does not start with IHDR', () => {
    expect(() => insertPngXmp(new Uint8Array(64), '<x/>')).toThrow('does not start with IHDR');
    expect(() => insertPngXmp(new Uint8Array(4), '<x/>')).toThrow('does not start with IHDR');
  });
});
