import { describe, expect, it } from 'vitest';
import { findLockfileHoles } from '../../scripts/lockfile-holes.js';

const tool = { optionalDependencies: { '@tool/linux': '1.0.0', '@tool/darwin': '1.0.0' } };

describe('findLockfileHoles()', () => {
  it('names the platform builds that are wanted and not there', () => {
    const packages = { '': {}, 'node_modules/tool': tool, 'node_modules/@tool/linux': {} };
    expect(findLockfileHoles({ packages })).toEqual(['@tool/darwin']);
  });

  it('finds nothing when all are there, nested ones too', () => {
    const packages = {
      'node_modules/tool': tool,
      'node_modules/@tool/linux': {},
      'node_modules/tool/node_modules/@tool/darwin': {},
    };
    expect(findLockfileHoles({ packages })).toEqual([]);
  });
});
