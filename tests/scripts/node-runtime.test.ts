import { describe, expect, it } from 'vitest';
import { chooseNode, isNodeRecentEnough } from '../../scripts/node-runtime.js';

const OLD = { version: '20.20.2', execPath: '/usr/bin/node', platform: 'linux', arch: 'x64' };

describe('isNodeRecentEnough()', () => {
  it.each([
    ['22.18.0', true],
    ['22.17.9', false],
    ['23.5.0', false],
    ['23.6.0', true],
    ['24.0.0', true],
    ['20.20.2', false],
    ['18.19.0', false],
  ])('says of %s: %s', (version, expected) => {
    expect(isNodeRecentEnough(version)).toBe(expected);
  });
});

describe('chooseNode()', () => {
  it('stays with a Node that will do', () => {
    const machine = { ...OLD, version: '24.21.0', bundled: '/modules/node' };
    expect(chooseNode(machine)).toEqual({ node: '/usr/bin/node' });
  });

  it('takes the installed one instead of an old one', () => {
    expect(chooseNode({ ...OLD, bundled: '/modules/node' })).toEqual({ node: '/modules/node' });
  });

  it('says in one sentence what is needed where there is none', () => {
    const machine = { ...OLD, platform: 'darwin', arch: 'arm64', bundled: undefined };
    expect(chooseNode(machine)).toEqual({
      problem:
        'pixart-edge needs Node 22.18.0 or newer, not 20.20.2: ' +
        'the install brings one along for Linux x64 only, so install it for darwin arm64.',
    });
  });

  it('names npm install where that would bring one', () => {
    const choice = chooseNode({ ...OLD, bundled: undefined });
    expect(choice).toHaveProperty('problem', expect.stringContaining('run npm install'));
  });
});
