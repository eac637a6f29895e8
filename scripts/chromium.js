/** Where Chromium is installed. Plain JavaScript: `npm test` asks before it knows which Node it runs on. */
import { existsSync } from 'node:fs';

const PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome-stable',
  '/usr/bin/google-chrome',
  '/snap/bin/chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

/**
 * @param {Record<string, string | undefined>} env `CHROMIUM` names one that is elsewhere
 * @returns {string | undefined} path of the program
 */
export function findChromium(env = process.env) {
  return [env.CHROMIUM, ...PLACES].find((place) => place !== undefined && existsSync(place));
}
