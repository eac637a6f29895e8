/** The form: what it offers for a model, and the request that it stands for. */
const SEED_MAX = 4_294_967_295;
const PROMPT_LENGTH_MAX = 2000;
/** Larger sizes are offered up to here; the service resizes what the model draws. */
const SIDE_MAX = 1024;

/** A field cannot be used; `field` names it. */
export class FieldError extends Error {
  constructor(field, message) {
    super(message);
    this.name = 'FieldError';
    this.field = field;
  }
}

export class PromptForm {
  #form;
  #model;

  /** @param {HTMLFormElement} form */
  constructor(form) {
    this.#form = form;
    form.addEventListener('input', () => this.#refresh());
    this.#refresh();
  }

  get elements() {
    return this.#form.elements;
  }

  /** Offers what the model can draw. */
  offer(model) {
    this.#model = model;
    const [nativeWidth, nativeHeight] = model.native_size;
    const drawn = model.sizes === 'bins' ? [model.native_size] : model.sizes;
    const sizes = drawn.map(([width, height]) => ({ width, height, note: '' }));
    for (const factor of [2, 4]) {
      const [width, height] = [nativeWidth * factor, nativeHeight * factor];
      if (width <= SIDE_MAX && height <= SIDE_MAX)
        sizes.push({ width, height, note: ', enlarged' });
    }
    const { size, steps } = this.elements;
    size.replaceChildren(
      ...sizes.map(
        ({ width, height, note }) =>
          new Option(`${width} × ${height}${note}`, `${width}x${height}`),
      ),
    );
    size.value = `${nativeWidth}x${nativeHeight}`;
    const range = model.samplers[model.default_sampler].steps;
    steps.min = String(range.min);
    steps.max = String(range.max);
    steps.value = String(range.default);
    document.querySelector('#transparent-field').hidden = !model.alpha;
    this.#refresh();
  }

  /**
   * @returns {object} body of a generation request, without what is about the stream
   * @throws {FieldError}
   */
  read() {
    const { prompt, seed, size, steps, transparent } = this.elements;
    const text = prompt.value.trim();
    if (text === '') throw new FieldError('prompt', 'Say first what to draw.');
    if ([...text].length > PROMPT_LENGTH_MAX) {
      throw new FieldError(
        'prompt',
        `Prompts end at ${PROMPT_LENGTH_MAX} characters; this one has ${[...text].length}.`,
      );
    }
    const request = {
      prompt: text,
      num_inference_steps: Number(steps.value),
      output_format: this.format,
    };
    if (size.value !== '') request.size = size.value;
    const seedText = seed.value.trim();
    if (seedText !== '') {
      if (!/^\d{1,10}$/.test(seedText) || Number(seedText) > SEED_MAX) {
        throw new FieldError('seed', `A seed is a whole number from 0 to ${SEED_MAX}.`);
      }
      request.seed = Number(seedText);
    }
    if (transparent.checked && !transparent.disabled) request.background = 'transparent';
    return request;
  }

  /** Fills the form with what an earlier picture was drawn from. */
  fill({ prompt, seed, size, steps, format, transparent }) {
    const { elements } = this;
    elements.prompt.value = prompt;
    if (seed !== undefined) elements.seed.value = String(seed);
    if ([...elements.size.options].some(({ value }) => value === size)) elements.size.value = size;
    if (steps !== undefined) elements.steps.value = String(steps);
    if (format !== undefined) elements.format.value = format;
    elements.transparent.checked = transparent === true;
    this.#refresh();
  }

  setPrompt(text) {
    this.elements.prompt.value = text;
    this.#refresh();
  }

  setSeed(seed) {
    this.elements.seed.value = String(seed);
    this.#refresh();
  }

  get format() {
    return this.elements.format.value;
  }

  /** Shows problems beside their fields; without any, clears them. */
  showProblem(problem) {
    for (const field of ['prompt', 'seed']) {
      const isThis = problem?.field === field;
      document.querySelector(`#${field}-problem`).textContent = isThis ? problem.message : '';
      this.elements[field].setAttribute('aria-invalid', String(isThis));
      if (isThis) {
        if (field === 'seed') document.querySelector('#settings').open = true;
        this.elements[field].focus();
      }
    }
  }

  #refresh() {
    const { size, steps, seed, transparent } = this.elements;
    document.querySelector('#steps-value').value = steps.value;
    const canBeTransparent = this.format !== 'jpeg';
    transparent.disabled = !canBeTransparent;
    const parts = [
      size.value.replace('x', ' × '),
      `${steps.value} ${steps.value === '1' ? 'step' : 'steps'}`,
      { png: 'PNG', webp: 'WebP', jpeg: 'JPEG' }[this.format],
    ];
    if (seed.value.trim() !== '') parts.push(`seed ${seed.value.trim()}`);
    if (transparent.checked && canBeTransparent && this.#model?.alpha) parts.push('transparent');
    document.querySelector('#summary').textContent = parts
      .filter((part) => part !== '')
      .join(' · ');
  }
}
