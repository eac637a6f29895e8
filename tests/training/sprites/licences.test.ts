import { describe, expect, it } from 'vitest';
import { SpriteError } from '../../../training/sprites/errors.ts';
import {
  ACCEPTED_PACKAGES,
  type AcceptedPackage,
  assertAccepted,
  hashTexts,
  type PackageEvidence,
} from '../../../training/sprites/licences.ts';

const evidence: PackageEvidence = {
  name: 'drawings',
  version: '1.0.0',
  license: 'MIT',
  texts: ['Permission is hereby granted'],
};
const accepted: readonly AcceptedPackage[] = [
  {
    name: 'drawings',
    version: '1.0.0',
    license: 'MIT',
    sha256: '4ec17371b106fad4fdff8de312eee1f7fc8f85229f4762730cdb2da91d4bdcde',
    author: 'Somebody',
    url: 'https://example.com',
    copyright: 'Copyright (c) Somebody',
  },
];

const refusal = (changes: Partial<PackageEvidence>): SpriteError => {
  try {
    assertAccepted({ ...evidence, ...changes }, accepted);
  } catch (error) {
    if (error instanceof SpriteError) return error;
    throw error;
  }
  throw new Error('the package was accepted');
};

describe('assertAccepted()', () => {
  it('assertAccepted() returns the entry that matches in every field', () => {
    expect(assertAccepted(evidence, accepted)).toBe(accepted[0]);
  });

  it('assertAccepted() refuses a package that is not on the list', () => {
    const error = refusal({ name: 'other' });
    expect(error.code).toBe('licence');
    expect(error.exitStatus).toBe(3);
    expect(error.message).toBe('other is not on the list of accepted packages');
  });

  it.each(['CC-BY-4.0', 'Apache-2.0'])('assertAccepted() refuses the licence %s', (license) => {
    expect(refusal({ license }).message).toBe(`drawings says "${license}"; accepted is MIT`);
  });

  it('assertAccepted() refuses another version', () => {
    expect(refusal({ version: '1.0.1' }).message).toBe('drawings is 1.0.1; accepted is 1.0.0');
  });

  it('assertAccepted() refuses a changed licence text', () => {
    expect(refusal({ texts: ['All rights reserved'] }).message).toMatch(
      /^drawings carries licence text [0-9a-f]{64}; accepted is 4ec17371/,
    );
  });
});

describe('hashTexts()', () => {
  it('hashTexts() tells apart lists that join to the same text', () => {
    expect(hashTexts(['ab', 'c'])).not.toBe(hashTexts(['a', 'bc']));
  });
});

describe('ACCEPTED_PACKAGES', () => {
  it('ACCEPTED_PACKAGES holds MIT and Apache-2.0 only, each with a digest', () => {
    for (const { license, sha256 } of ACCEPTED_PACKAGES) {
      expect(['MIT', 'Apache-2.0']).toContain(license);
      expect(sha256).toMatch(/^[0-9a-f]{64}$/);
    }
  });
});
