import { describe, expect, it } from 'vitest';
import { buildXmp, XMP_BYTES_MAX } from '#shared/xmp.ts';

const property = (packet: string, name: string) =>
  new RegExp(`<${name}>([^<]*)</${name}>`).exec(packet)?.[1];

describe('buildXmp()', () => {
  it('buildXmp() names the digital source type, the model, its revision and the tool', () => {
    const packet = buildXmp({ id: 'pixart-edge/stickers-nano', revision: 'cd34' });
    expect(property(packet, 'Iptc4xmpExt:DigitalSourceType')).toBe(
      'http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia',
    );
    expect(property(packet, 'Iptc4xmpExt:AISystemUsed')).toBe('pixart-edge/stickers-nano');
    expect(property(packet, 'Iptc4xmpExt:AISystemVersionUsed')).toBe('cd34');
    expect(property(packet, 'xmp:CreatorTool')).toBe('pixart-edge');
    expect(packet).toContain('xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"');
    expect(packet).not.toContain('Date');
  });

  it('buildXmp() escapes markup and drops what XML cannot hold', () => {
    const packet = buildXmp({ id: '<a & "b">\u0000\u0007\ud800', revision: "'" });
    expect(property(packet, 'Iptc4xmpExt:AISystemUsed')).toBe(
      '&lt;a &amp; &quot;b&quot;&gt;\ufffd',
    );
    expect(property(packet, 'Iptc4xmpExt:AISystemVersionUsed')).toBe('&apos;');
  });

  it('buildXmp() fills a JPEG segment to its limit and refuses one byte more', () => {
    const empty = Buffer.byteLength(buildXmp({ id: '', revision: '' }));
    const room = XMP_BYTES_MAX - empty;
    const full = buildXmp({ id: 'a'.repeat(room), revision: '' });
    expect(Buffer.byteLength(full)).toBe(65_502);
    expect(() => buildXmp({ id: 'a'.repeat(room + 1), revision: '' })).toThrow('limit 65502');
  });
});
