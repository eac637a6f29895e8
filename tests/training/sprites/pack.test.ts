import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, describe, expect, it } from 'vitest';
import type { Concept } from '../../../training/sprites/concepts.ts';
import type { AcceptedPackage } from '../../../training/sprites/licences.ts';
import {
  assertWritable,
  buildPack,
  type DrawnConcept,
  recolouring,
  writePack,
} from '../../../training/sprites/pack.ts';
import { renderSprite, SPRITE_SIDE } from '../../../training/sprites/render.ts';

const svg = (body: string): Buffer =>
  Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">${body}</svg>`);
const BLUE_BAR = svg('<rect x="10" y="4" width="8" height="16" fill="#1e88e5"/>');

const concept: Concept = {
  emoji: '🐟',
  name: 'blue bar',
  group: 'thing',
  synonyms: ['ingot'],
  frequent: false,
  fixedColour: false,
};
const accepted: AcceptedPackage = {
  name: 'drawings',
  version: '1.0.0',
  license: 'MIT',
  sha256: '0'.repeat(64),
  author: 'Somebody',
  url: 'https://example.com',
  copyright: 'Copyright (c) Somebody.',
};

async function drawn(): Promise<DrawnConcept> {
  return {
    concept,
    sprites: [{ style: 'flat', accepted, sprite: await renderSprite(BLUE_BAR, 'bar') }],
  };
}

const folder = mkdtempSync(join(tmpdir(), 'sprites-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('renderSprite()', () => {
  it('renderSprite() centres the drawing with its longest side at 148 of 160 pixels', async () => {
    const { webp, extent } = await renderSprite(BLUE_BAR, 'bar');
    expect(extent).toEqual({ width: 74, height: 148 });
    const { data, info } = await sharp(webp).trim().raw().toBuffer({ resolveWithObject: true });
    expect(info.height).toBe(148);
    expect(info.width).toBe(74);
    expect(info.trimOffsetLeft).toBe(-43);
    expect([...data.subarray(0, 3)]).toEqual([0x1e, 0x88, 0xe5]);
    expect((await sharp(webp).metadata()).width).toBe(SPRITE_SIDE);
  });

  it('renderSprite() gives the same bytes twice', async () => {
    const [first, second] = [
      await renderSprite(BLUE_BAR, 'bar'),
      await renderSprite(BLUE_BAR, 'bar'),
    ];
    expect(first.webp.equals(second.webp)).toBe(true);
  });

  it('renderSprite() refuses an empty drawing', async () => {
    await expect(renderSprite(svg(''), 'nothing')).rejects.toThrow('nothing is empty');
  });

  it('renderSprite() refuses what cannot be decoded', async () => {
    await expect(renderSprite(Buffer.from('no picture'), 'noise')).rejects.toMatchObject({
      code: 'render',
    });
  });

  it('renderSprite() refuses a drawing that is a thin line', async () => {
    const line = svg('<rect x="2" y="15" width="28" height="0.5" fill="red"/>');
    await expect(renderSprite(line, 'line')).rejects.toMatchObject({ code: 'quality' });
  });

  it('renderSprite() refuses a drawing that fills its square', async () => {
    const full = svg('<rect width="32" height="32" fill="red"/>');
    await expect(renderSprite(full, 'full')).rejects.toThrow(
      'full covers 0.856 of its square; allowed is 0.08 to 0.82',
    );
  });
});

describe('recolouring()', () => {
  it('recolouring() moves the hue of a drawing of one colour', async () => {
    const [sprite] = (await drawn()).sprites;
    expect(recolouring(concept, sprite!.sprite).recolour).toBe('hue');
  });

  it('recolouring() tints a gray drawing', async () => {
    const gray = await renderSprite(svg('<circle cx="16" cy="16" r="12" fill="#999"/>'), 'gray');
    expect(recolouring(concept, gray).recolour).toBe('tint');
  });

  it('recolouring() leaves a concept of fixed colours alone', async () => {
    const [sprite] = (await drawn()).sprites;
    expect(recolouring({ ...concept, fixedColour: true }, sprite!.sprite).recolour).toBeNull();
  });
});

describe('buildPack()', () => {
  it('buildPack() finds each sprite again at its offset', async () => {
    const files = buildPack([await drawn(), await drawn()], { blue: '#1e88e5' }, new Map());
    const { concepts } = JSON.parse(files['concepts.json'].toString());
    const [{ offset, length }] = concepts[1].sprites;
    expect(offset).toBe(concepts[0].sprites[0].length);
    const webp = files['sprites.pack'].subarray(offset, offset + length);
    expect((await sharp(webp).metadata()).format).toBe('webp');
  });

  it('buildPack() writes names with article, plural and synonyms', async () => {
    const files = buildPack([await drawn()], {}, new Map());
    const [entry] = JSON.parse(files['concepts.json'].toString()).concepts;
    expect(entry).toMatchObject({
      id: 'blue-bar',
      article: 'a',
      plural: 'blue bars',
      synonyms: [{ name: 'ingot', article: 'an' }],
    });
  });

  it('buildPack() credits every set it used', async () => {
    const files = buildPack([await drawn()], {}, new Map());
    expect(files['ATTRIBUTION.md'].toString()).toContain('| drawings 1.0.0 | Somebody | MIT |');
  });
});

describe('assertWritable()', () => {
  it('assertWritable() refuses a folder below a file, naming it', () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    expect(() => assertWritable(join(file, 'sprites'))).toThrow(
      expect.objectContaining({ code: 'output', exitStatus: 7 }),
    );
  });

  it('assertWritable() makes a missing folder', () => {
    assertWritable(join(folder, 'made', 'here'));
    expect(() => writeFileSync(join(folder, 'made', 'here', 'file'), '')).not.toThrow();
  });
});

describe('writePack()', () => {
  it('writePack() leaves the digest of every file', async () => {
    writePack(folder, buildPack([await drawn()], {}, new Map([['fish', 2]])));
    const sums = readFileSync(join(folder, 'SHA256SUMS'), 'utf8').trimEnd().split('\n');
    expect(sums.map((line) => line.slice(66)).sort()).toEqual([
      'ATTRIBUTION.md',
      'concepts.json',
      'sprites.pack',
      'words.json',
    ]);
    for (const line of sums) {
      const digest = createHash('sha256').update(readFileSync(join(folder, line.slice(66))));
      expect(digest.digest('hex')).toBe(line.slice(0, 64));
    }
  });
});
