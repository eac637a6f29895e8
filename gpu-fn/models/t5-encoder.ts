/** The T5 text encoder of a bundle. */
import { type Bundle, BundleError } from '../runtime/bundle.ts';
import { floatData, openSession, type Session, type SessionOptions } from '../runtime/session.ts';

export class T5Encoder implements AsyncDisposable {
  /** width of the embeddings */
  readonly channels: number;
  readonly #vocabularySize: number;
  readonly #session: Session;

  private constructor(session: Session, channels: number, vocabularySize: number) {
    this.#session = session;
    this.channels = channels;
    this.#vocabularySize = vocabularySize;
  }

  static async load(bundle: Bundle, options?: SessionOptions): Promise<T5Encoder> {
    const { channels, vocab_size: vocabularySize } = bundle.manifest.text;
    const session = await openSession(bundle.graphPath('text_encoder'), options);
    return new T5Encoder(session, channels, vocabularySize);
  }

  /**
   * @param inputIds  int32 `[T]`, real tokens and the end token, no pads
   * @returns         float32 `[1, T, channels]`
   * @throws {RangeError} when there is no token, or an id outside the vocabulary
   */
  async embed(inputIds: Int32Array): Promise<Float32Array> {
    if (inputIds.length === 0) throw new RangeError('no tokens: the end token is always there');
    for (const id of inputIds) {
      if (id < 0 || id >= this.#vocabularySize) {
        throw new RangeError(`token id ${id} is outside the vocabulary of ${this.#vocabularySize}`);
      }
    }
    const { prompt_embeds: embeds } = await this.#session.run({
      input_ids: { dtype: 'int32', data: inputIds, shape: [1, inputIds.length] },
    });
    const data = floatData(embeds);
    if (data.length !== inputIds.length * this.channels) {
      throw new BundleError(
        `text_encoder gave ${data.length} numbers for ${inputIds.length} tokens`,
      );
    }
    return data;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#session[Symbol.asyncDispose]();
  }
}
