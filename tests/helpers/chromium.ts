/** The installed Chromium, for the tests of the page. Nothing is downloaded. */
import { type Browser, chromium } from 'playwright-core';
import { findChromium } from '../../scripts/chromium.js';

/**
 * @throws when none is installed; `npm test` leaves the page's tests out then and says so
 */
export async function launchChromium(): Promise<Browser> {
  const executablePath = findChromium();
  if (executablePath === undefined) {
    throw new Error('no Chromium is installed; CHROMIUM can name one');
  }
  return chromium.launch({
    executablePath,
    args: [
      // Containers and CI run as root, where its own sandbox refuses to start.
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}
