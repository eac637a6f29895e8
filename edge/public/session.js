/**
 * What this tab remembers: the API key and the pictures it has drawn. Both end with the tab.
 *
 * The key arrives in the fragment of the printed URL, which no browser sends to any server, and is taken out of the
 * address bar at once.
 */
const KEY = 'pixart-key';
const PICTURES = 'pixart-pictures';
export const PICTURES_MAX = 24;

/** @returns {string} the key, or an empty string */
export function takeKey() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const given = fragment.get('key');
  if (given !== null) {
    history.replaceState(null, '', location.pathname + location.search);
    keepKey(given);
    return given;
  }
  return read(KEY) ?? '';
}

/** @param {string} key empty: forgets it */
export function keepKey(key) {
  if (key === '') remove(KEY);
  else write(KEY, key);
}

/** @returns {object[]} newest first */
export function readPictures() {
  try {
    const pictures = JSON.parse(read(PICTURES) ?? '[]');
    return Array.isArray(pictures) ? pictures.slice(0, PICTURES_MAX) : [];
  } catch {
    // Written by something else under our name.
    return [];
  }
}

/** @param {object[]} pictures newest first */
export function keepPictures(pictures) {
  write(PICTURES, JSON.stringify(pictures.slice(0, PICTURES_MAX)));
}

function read(name) {
  try {
    return sessionStorage.getItem(name);
  } catch {
    // Storage is forbidden: the tab remembers as long as the page stays.
    return null;
  }
}

function write(name, value) {
  try {
    sessionStorage.setItem(name, value);
  } catch {
    // Forbidden or full, see above.
  }
}

function remove(name) {
  try {
    sessionStorage.removeItem(name);
  } catch {
    // See above.
  }
}
