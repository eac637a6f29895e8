/** The VAE encoder of a bundle: a picture → the distribution of its latents. */
import type { LatentDistribution, VaeEncoder } from '../pipeline/components.ts';
import type { Bundle } from '../runtime/bundle.ts';
import type { Manifest } from '../runtime/manifest.ts';
import { floatData, openSession, type Session, type SessionOptions } from '../runtime/session.ts';

export class OnnxVaeEncoder implements VaeEncoder, AsyncDisposable {
  readonly #session: Session;
  readonly #config: Manifest['vae'];

  private constructor(session: Session, config: Manifest['vae']) {
    this.#session = session;
    this.#config = config;
  }

  /** @throws {BundleError} when the bundle was made without the encoder */
  static async load(bundle: Bundle, options?: SessionOptions): Promise<OnnxVaeEncoder> {
    const session = await openSession(bundle.graphPath('vae_encoder'), options);
    return new OnnxVaeEncoder(session, bundle.manifest.vae);
  }

  /** @param sample  float32 `[1, channels, height, width]`, −1…1; sides in pixels, multiples of the scale factor */
  async encode(args: {
    sample: Float32Array;
    height: number;
    width: number;
  }): Promise<LatentDistribution> {
    const { sample, height, width } = args;
    const { channels, scale_factor: factor } = this.#config;
    if (
      height % factor !== 0 ||
      width % factor !== 0 ||
      sample.length !== channels * height * width
    ) {
      throw new RangeError(
        `a picture of ${sample.length} numbers is not [1, ${channels}, ${height}, ${width}] with sides in multiples of ${factor}`,
      );
    }
    const { mean, logvar } = await this.#session.run({
      sample: { dtype: 'float32', data: sample, shape: [1, channels, height, width] },
    });
    return { mean: floatData(mean), logvar: floatData(logvar) };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#session[Symbol.asyncDispose]();
  }
}
