/**
 * The licence gate: a set of drawings is used only if name, version, licence and the licence text it carries
 * are exactly what was read and accepted by hand.
 *
 * Knows nothing about drawings; it compares what a package says with the list below.
 */
import { createHash } from 'node:crypto';
import { SpriteError } from './errors.ts';

export type Licence = 'MIT' | 'Apache-2.0';

/** What an installed package says about itself. */
export interface PackageEvidence {
  readonly name: string;
  readonly version: string;
  /** `license` of package.json, or the SPDX id of the set's own metadata where that is more exact. */
  readonly license: string;
  /** Licence files and licence metadata, in a fixed order; empty where the package carries none. */
  readonly texts: readonly string[];
}

export interface AcceptedPackage {
  readonly name: string;
  readonly version: string;
  readonly license: Licence;
  readonly sha256: string;
  readonly author: string;
  readonly url: string;
  readonly copyright: string;
}

export const ACCEPTED_LICENCES: readonly Licence[] = ['MIT', 'Apache-2.0'];

export const ACCEPTED_PACKAGES: readonly AcceptedPackage[] = [
  {
    name: '@lobehub/fluent-emoji-3d',
    version: '1.1.0',
    license: 'MIT',
    sha256: '9ff3496a2a6e5a1eddabc4faf8d4dcf4550e19f7f3d139c870a7436c663fbe31',
    author: 'Microsoft Corporation',
    url: 'https://github.com/microsoft/fluentui-emoji',
    copyright: 'Copyright (c) Microsoft Corporation.',
  },
  {
    name: '@iconify-json/fluent-emoji-flat',
    version: '1.2.6',
    license: 'MIT',
    sha256: 'aeaee12d2678b7aa974f4b227573cb77ea64734c99ea1b58d8419e63c2ac251f',
    author: 'Microsoft Corporation',
    url: 'https://github.com/microsoft/fluentui-emoji',
    copyright: 'Copyright (c) Microsoft Corporation.',
  },
  {
    name: '@iconify-json/noto',
    version: '1.2.9',
    license: 'Apache-2.0',
    sha256: '753c015ba1f304398ddb08af56e6482f5538a9c7860ec621849bcbe1d7c2f971',
    author: 'Google Inc',
    url: 'https://github.com/googlefonts/noto-emoji',
    copyright: 'Copyright Google Inc.',
  },
];

/** SHA-256 over the texts, each preceded by its length, so that no two lists hash alike. */
export function hashTexts(texts: readonly string[]): string {
  const hash = createHash('sha256');
  for (const text of texts) {
    hash.update(`${Buffer.byteLength(text)}\n`);
    hash.update(text);
  }
  return hash.digest('hex');
}

/**
 * Returns the entry that accepts the package.
 *
 * @throws {SpriteError} `licence` when no entry matches in every field
 */
export function assertAccepted(
  evidence: PackageEvidence,
  accepted: readonly AcceptedPackage[] = ACCEPTED_PACKAGES,
): AcceptedPackage {
  const { name, version, license, texts } = evidence;
  const entry = accepted.find((candidate) => candidate.name === name);
  if (entry === undefined) {
    throw new SpriteError('licence', `${name} is not on the list of accepted packages`);
  }
  if (!(ACCEPTED_LICENCES as readonly string[]).includes(license) || entry.license !== license) {
    throw new SpriteError('licence', `${name} says "${license}"; accepted is ${entry.license}`);
  }
  if (entry.version !== version) {
    throw new SpriteError('licence', `${name} is ${version}; accepted is ${entry.version}`);
  }
  const sha256 = hashTexts(texts);
  if (entry.sha256 !== sha256) {
    throw new SpriteError(
      'licence',
      `${name} carries licence text ${sha256}; accepted is ${entry.sha256}`,
    );
  }
  return entry;
}
