/** The picture and everything said about it: previews while it is drawn, the result, or what went wrong. */

const $ = (id) => document.getElementById(id);

/** Blur of the first preview in pixels; it fades as the steps go by. */
const BLUR_MAX = 14;

export class Stage {
  /** A new drawing begins. */
  begin({ steps, size }) {
    this.#setAspect(size);
    $('frame').dataset.state = 'drawing';
    delete $('frame').dataset.transparent;
    $('picture').hidden = true;
    $('problem').hidden = true;
    $('result').hidden = true;
    $('progress').hidden = false;
    $('progress').setAttribute('aria-valuemax', String(steps));
    $('progress').replaceChildren(
      ...Array.from({ length: steps }, () => document.createElement('i')),
    );
    this.#setProgress(0);
    this.say('Drawing…');
  }

  /** A preview has come: the picture after `step` of `steps`. */
  preview({ b64_json: data, output_format: format, step, steps }) {
    const picture = $('picture');
    picture.src = `data:image/${format};base64,${data}`;
    picture.alt = '';
    picture.hidden = false;
    $('frame').style.setProperty('--blur', `${Math.round(BLUR_MAX * (1 - step / steps)) + 2}px`);
    this.#setProgress(step);
    this.say(`Step ${step} of ${steps}`);
  }

  /** @param {object} picture an entry of the history */
  show(picture) {
    const { prompt, url, data, seed, size, steps, cache, ms, warnings, transparent, format, id } =
      picture;
    this.#setAspect(size);
    const frame = $('frame');
    frame.dataset.state = 'done';
    if (transparent) frame.dataset.transparent = '';
    else delete frame.dataset.transparent;
    const image = $('picture');
    image.src = data ?? url;
    image.alt = prompt;
    image.hidden = false;
    $('progress').hidden = true;
    $('problem').hidden = true;
    this.say('');

    $('result-prompt').textContent = prompt;
    $('fact-cache').textContent =
      { hit: 'From the cache', coalesced: 'Drawn together with another' }[cache] ?? 'Drawn';
    $('fact-time').textContent = formatMs(ms);
    $('fact-size').textContent =
      `${size.replace('x', ' × ')}, ${steps} ${steps === 1 ? 'step' : 'steps'}`;
    $('fact-seed').textContent = `Seed ${seed}`;
    $('notices').replaceChildren(
      ...warnings.map(({ message }) =>
        Object.assign(document.createElement('li'), { textContent: message }),
      ),
    );
    const link = $('link');
    link.href = url;
    link.textContent = url;
    $('download').href = url;
    $('download').download =
      `${toFileName(prompt)}-${String(id).slice(0, 8)}.${format === 'jpeg' ? 'jpg' : format}`;
    $('copy').textContent = 'Copy link';
    $('result').hidden = false;
  }

  /** @param {import('./api.js').ApiError} error */
  fail({ title, message, requestId, retryable }) {
    this.#reset();
    $('problem-title').textContent = title;
    $('problem-text').textContent = message;
    $('problem-id').textContent = requestId === '' ? '' : `Request ${requestId}`;
    $('retry').hidden = !retryable;
    $('problem').hidden = false;
  }

  cancelled() {
    this.#reset();
    this.say('Stopped.');
  }

  /** Nothing is shown. */
  clear() {
    this.#reset();
    $('problem').hidden = true;
    $('result').hidden = true;
    this.say('');
  }

  /** @param {{isSeen?: boolean}} [how] unseen: for those who listen; the eye has the picture */
  say(text, { isSeen = true } = {}) {
    $('status').classList.toggle('sr', !isSeen);
    $('status').textContent = text;
  }

  scrollIntoView() {
    const isCalm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    const { top, bottom } = $('frame').getBoundingClientRect();
    if (top >= 0 && bottom <= innerHeight) return;
    $('stage').scrollIntoView({ behavior: isCalm ? 'auto' : 'smooth', block: 'start' });
  }

  #reset() {
    $('frame').dataset.state = 'empty';
    delete $('frame').dataset.transparent;
    $('picture').hidden = true;
    $('progress').hidden = true;
    this.say('');
  }

  #setAspect(size) {
    const [width, height] = (size || '1x1').split('x').map(Number);
    $('frame').style.aspectRatio = `${width} / ${height}`;
  }

  #setProgress(step) {
    $('progress').setAttribute('aria-valuenow', String(step));
    for (const [i, bar] of [...$('progress').children].entries()) {
      bar.className = i < step ? 'done' : i === step ? 'now' : '';
    }
  }
}

export function formatMs(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** Letters and digits of the prompt, short, for a file's name. */
export function toFileName(prompt) {
  const words =
    prompt
      .toLowerCase()
      .normalize('NFKD')
      .match(/[a-z0-9]+/g) ?? [];
  return words.join('-').slice(0, 48).replace(/-$/, '') || 'picture';
}
