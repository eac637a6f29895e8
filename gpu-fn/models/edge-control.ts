/**
 * A picture whose edges a drawing shall follow → latents for the control network.
 *
 * picture on white → covered and cropped to the size that is drawn → HED → edges as a grey picture, −1…1 → a draw from
 * the VAE encoder's distribution × scaling factor, as PixArt's control network was trained. The noise of that draw has a
 * generator of its own, so the drawing's is where it would be without control.
 */
import type { Control, ControlNetwork, Pixels, PreparedControl } from '../pipeline/components.ts';
import { fitTo } from '../pipeline/resolution.ts';
import type { Bundle } from '../runtime/bundle.ts';
import type { Manifest } from '../runtime/manifest.ts';
import type { SessionOptions } from '../runtime/session.ts';
import { createRandom } from '../tensor/random.ts';
import { HedEdgeDetector } from './edge-detector.ts';
import { OnnxVaeEncoder } from './vae-encoder.ts';

const WHITE = 255;

interface Networks {
  readonly detector: HedEdgeDetector;
  readonly encoder: OnnxVaeEncoder;
}

export class EdgeControl implements ControlNetwork, AsyncDisposable {
  readonly #config: Manifest['vae'];
  readonly #open: () => Promise<Networks>;
  readonly #disposal: AsyncDisposableStack;
  /** Opened when the first picture comes. */
  #networks: Promise<Networks> | undefined;

  constructor(bundle: Bundle, options?: SessionOptions) {
    this.#config = bundle.manifest.vae;
    const owned = new AsyncDisposableStack();
    this.#disposal = owned;
    this.#open = async () => ({
      detector: owned.use(await HedEdgeDetector.load(bundle, options)),
      encoder: owned.use(await OnnxVaeEncoder.load(bundle, options)),
    });
  }

  async prepare(
    { image, scale }: Control,
    {
      drawn,
      seed,
    }: { readonly drawn: readonly [width: number, height: number]; readonly seed: number },
  ): Promise<PreparedControl> {
    this.#networks ??= this.#open().catch((error: unknown) => {
      this.#networks = undefined; // memory may be there another time
      throw error;
    });
    const { detector, encoder } = await this.#networks;
    const [width, height] = drawn;
    const edges = await detector.detect({
      image: toUnit(fitTo(onWhite(image), width, height)),
      height,
      width,
    });
    const sample = toSample(edges, this.#config.channels);
    const { mean, logvar } = await encoder.encode({ sample, height, width });
    const noise = createRandom(seed).normal(mean.length);
    const latents = mean.map(
      (value, i) => (value + Math.exp(0.5 * logvar[i]!) * noise[i]!) * this.#config.scaling_factor,
    );
    return { latents, scale, edges: toPicture(edges, width, height) };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#disposal.disposeAsync();
  }
}

function onWhite({ data, width, height, channels }: Pixels): Pixels {
  if (channels === 3) return { data, width, height, channels };
  const flat = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    const alpha = data[from + 3]!;
    for (let colour = 0; colour < 3; colour += 1, to += 1) {
      flat[to] = Math.round((data[from + colour]! * alpha + WHITE * (WHITE - alpha)) / WHITE);
    }
  }
  return { data: flat, width, height, channels: 3 };
}

/** float32 `[1, 3, height, width]`, 0–1 */
function toUnit({ data, width, height }: Pixels): Float32Array {
  const pixels = width * height;
  const out = new Float32Array(3 * pixels);
  for (let pixel = 0; pixel < pixels; pixel += 1) {
    for (let colour = 0; colour < 3; colour += 1) {
      out[colour * pixels + pixel] = data[pixel * 3 + colour]! / WHITE;
    }
  }
  return out;
}

/** float32 `[1, channels, height, width]`, −1…1: the edges in every colour, opaque */
function toSample(edges: Float32Array, channels: 3 | 4): Float32Array {
  const sample = new Float32Array(edges.length * channels).fill(1);
  for (let colour = 0; colour < 3; colour += 1) {
    for (const [i, edge] of edges.entries()) sample[colour * edges.length + i] = 2 * edge - 1;
  }
  return sample;
}

function toPicture(edges: Float32Array, width: number, height: number): Pixels {
  const data = new Uint8Array(edges.length * 3);
  for (const [i, edge] of edges.entries()) data.fill(Math.round(edge * WHITE), i * 3, i * 3 + 3);
  return { data, width, height, channels: 3 };
}
