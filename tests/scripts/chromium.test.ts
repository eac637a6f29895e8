import { describe, expect, it } from 'vitest';
import { findChromium } from '../../scripts/chromium.js';

describe('findChromium()', () => {
  it('takes the one that CHROMIUM names', () => {
    expect(findChromium({ CHROMIUM: process.execPath })).toBe(process.execPath);
  });

  it('passes over a name that leads nowhere', () => {
    expect(findChromium({ CHROMIUM: '/no/such/chromium' })).not.toBe('/no/such/chromium');
  });
});
