/** The VAE decoder of a bundle. */
import type { DecodeArgs, VaeDecoder } from '../pipeline/components.ts';
import type { Bundle } from '../runtime/bundle.ts';
import type { Manifest } from '../runtime/manifest.ts';
import {
  byteData,
  floatData,
  openSession,
  type Session,
  type SessionOptions,
  type Tensor,
} from '../runtime/session.ts';

export class OnnxVaeDecoder implements VaeDecoder, AsyncDisposable {
  readonly channels: 3 | 4;
  readonly scaleFactor: number;
  readonly scalingFactor: number;
  readonly #latentChannels: number;
  readonly #session: Session;

  private constructor(session: Session, config: Manifest['vae']) {
    this.#session = session;
    this.channels = config.channels;
    this.scaleFactor = config.scale_factor;
    this.scalingFactor = config.scaling_factor;
    this.#latentChannels = config.latent_channels;
  }

  static async load(bundle: Bundle, options?: SessionOptions): Promise<OnnxVaeDecoder> {
    const session = await openSession(bundle.graphPath('vae_decoder'), options);
    return new OnnxVaeDecoder(session, bundle.manifest.vae);
  }

  async decode(args: DecodeArgs): Promise<Uint8Array> {
    const { pixels } = await this.#session.run({ latents: this.#latents(args) }, ['pixels']);
    return byteData(pixels);
  }

  /**
   * The decoder's own output before it becomes bytes, for comparisons.
   *
   * @returns float32 `[1, channels, H·scaleFactor, W·scaleFactor]`, about −1…1, not clamped
   */
  async decodeSample(args: DecodeArgs): Promise<Float32Array> {
    const { sample } = await this.#session.run({ latents: this.#latents(args) }, ['sample']);
    return floatData(sample);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#session[Symbol.asyncDispose]();
  }

  #latents({ latents, height, width }: DecodeArgs): Tensor {
    if (latents.length !== this.#latentChannels * height * width) {
      throw new RangeError(
        `latents of ${latents.length} numbers are not [1, ${this.#latentChannels}, ${height}, ${width}]`,
      );
    }
    return { dtype: 'float32', data: latents, shape: [1, this.#latentChannels, height, width] };
  }
}
