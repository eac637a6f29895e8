/** The page: puts form, stage and history together around the API. */
import { ApiError, draw, fetchModel } from './api.js';
import { makeIdeas } from './ideas.js';
import { FieldError, PromptForm } from './prompt-form.js';
import { keepKey, keepPictures, PICTURES_MAX, readPictures, takeKey } from './session.js';
import { Stage } from './stage.js';

const $ = (id) => document.getElementById(id);
const IDEAS_COUNT = 4;

const form = new PromptForm($('form'));
const stage = new Stage();
let key = takeKey();
let pictures = readPictures();
/** Of the picture on the stage. */
let shown;
/** Set while a picture is drawn. */
let drawing;
let vocabulary;

$('settings').open = matchMedia('(min-width: 56rem)').matches;
renderHistory();
listen();
await connect();

/** Asks the server what it draws with; shows the key's form when it wants one. */
async function connect() {
  $('forget').hidden = key === '';
  try {
    const model = await fetchModel(key);
    $('key-form').hidden = true;
    $('model').textContent = model.id;
    vocabulary = model.vocabulary;
    form.offer(model);
    renderIdeas();
    $('more-ideas').hidden = vocabulary === undefined;
    return true;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 401) askForKey(key === '' ? '' : error.message);
    else stage.fail(error);
    return false;
  }
}

function listen() {
  $('form').addEventListener('submit', (event) => {
    event.preventDefault();
    void submit();
  });
  $('prompt').addEventListener('keydown', (event) => {
    // An input method confirms its own text with Enter.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    $('form').requestSubmit();
  });
  $('cancel').addEventListener('click', () => drawing?.abort());
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') drawing?.abort();
  });
  $('retry').addEventListener('click', () => void retry());
  $('dice').addEventListener('click', () =>
    form.setSeed(crypto.getRandomValues(new Uint32Array(1))[0]),
  );
  $('more-ideas').addEventListener('click', renderIdeas);
  $('fact-seed').addEventListener('click', () => {
    form.setSeed(shown.seed);
    $('settings').open = true;
    stage.say(`Seed ${shown.seed} is kept for the next picture.`);
  });
  $('copy').addEventListener('click', () => void copyLink());
  $('clear').addEventListener('click', () => {
    pictures = [];
    keepPictures(pictures);
    renderHistory();
    if (drawing === undefined) stage.clear();
    $('prompt').focus();
  });
  $('key-form').addEventListener('submit', (event) => {
    event.preventDefault();
    void useKey($('key').value.trim());
  });
  $('forget').addEventListener('click', () => {
    key = '';
    keepKey('');
    void connect();
  });
  addEventListener('hashchange', () => {
    key = takeKey();
    void connect();
  });
}

async function submit() {
  if (drawing !== undefined) return;
  let request;
  try {
    request = form.read();
    form.showProblem(undefined);
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    form.showProblem(error);
    return;
  }
  drawing = new AbortController();
  setBusy(true);
  stage.begin({ steps: request.num_inference_steps, size: request.size });
  stage.scrollIntoView();
  const startedMs = performance.now();
  try {
    const event = await draw(request, {
      key,
      signal: drawing.signal,
      onPreview: (preview) => stage.preview(preview),
    });
    remember(request, event, performance.now() - startedMs);
  } catch (error) {
    if (drawing.signal.aborted) stage.cancelled();
    else if (error instanceof ApiError) showError(error);
    else throw error;
  } finally {
    drawing = undefined;
    setBusy(false);
  }
}

async function retry() {
  // Without a model the page has never reached the server.
  if ($('model').textContent === '' && !(await connect())) return;
  stage.clear();
  if ($('prompt').value.trim() !== '') await submit();
}

function showError(error) {
  if (error.status === 401) {
    stage.clear();
    askForKey(error.message);
  } else if (error.param === 'prompt') {
    stage.clear();
    form.showProblem(new FieldError('prompt', error.message));
  } else {
    stage.fail(error);
  }
}

/** Shows a finished picture and puts it in front of the history. */
function remember(request, event, ms) {
  const picture = {
    id: event.id,
    prompt: request.prompt,
    url: event.url,
    seed: event.seed,
    size: event.size,
    steps: request.num_inference_steps,
    format: request.output_format,
    transparent: event.background === 'transparent',
    cache: event.cache,
    warnings: event.warnings ?? [],
    ms,
  };
  pictures = [picture, ...pictures.filter(({ id }) => id !== picture.id)].slice(0, PICTURES_MAX);
  keepPictures(pictures);
  // What has just come is shown from memory: no second request, no flicker.
  show({ ...picture, data: `data:image/${request.output_format};base64,${event.b64_json}` });
  stage.say(event.cache === 'hit' ? 'Found in the cache.' : 'Done.', { isSeen: false });
}

function show(picture) {
  shown = picture;
  stage.show(picture);
  renderHistory();
}

function renderHistory() {
  $('history').hidden = pictures.length === 0;
  $('history-list').replaceChildren(...pictures.map(renderThumb));
}

function renderThumb(picture) {
  const image = Object.assign(document.createElement('img'), {
    src: picture.url,
    className: 'thumb-image',
    alt: '',
    loading: 'lazy',
    decoding: 'async',
  });
  const button = Object.assign(document.createElement('button'), {
    type: 'button',
    className: 'thumb',
  });
  button.setAttribute('aria-label', `Show again: ${picture.prompt}`);
  button.title = picture.prompt;
  if (picture.id === shown?.id) button.setAttribute('aria-current', 'true');
  // The server drops its oldest pictures when its disk is full.
  image.addEventListener('error', () => button.classList.add('gone'));
  button.append(image);
  button.addEventListener('click', () => {
    if (drawing !== undefined) return;
    form.fill(picture);
    show(picture);
    stage.scrollIntoView();
  });
  const item = document.createElement('li');
  item.append(button);
  return item;
}

function renderIdeas() {
  $('ideas').replaceChildren(
    ...makeIdeas(vocabulary, IDEAS_COUNT).map((idea) => {
      const button = Object.assign(document.createElement('button'), {
        type: 'button',
        className: 'idea',
        textContent: idea,
      });
      button.addEventListener('click', () => {
        form.setPrompt(idea);
        void submit();
      });
      const item = document.createElement('li');
      item.append(button);
      return item;
    }),
  );
}

function askForKey(problem) {
  $('key-form').hidden = false;
  $('key-problem').textContent = problem;
  $('key').focus();
}

async function useKey(given) {
  if (given === '') return;
  key = given;
  if (!(await connect())) return;
  keepKey(key);
  $('key').value = '';
  $('forget').hidden = false;
  $('prompt').focus();
}

async function copyLink() {
  try {
    await navigator.clipboard.writeText(shown.url);
    $('copy').textContent = 'Copied';
  } catch {
    // Not allowed here, as on plain http beyond this machine: the link itself is selected instead.
    getSelection().selectAllChildren($('link'));
  }
}

function setBusy(isBusy) {
  const [shownButton, hiddenButton] = isBusy ? [$('cancel'), $('draw')] : [$('draw'), $('cancel')];
  const hadFocus = document.activeElement === hiddenButton;
  shownButton.hidden = false;
  // The focus must not fall off the page with the button that is hidden.
  if (hadFocus) shownButton.focus({ preventScroll: true });
  hiddenButton.hidden = true;
  $('form').setAttribute('aria-busy', String(isBusy));
}
