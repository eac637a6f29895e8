/** The edge detector of a bundle: a picture → how much each pixel is an edge. */
import type { EdgeDetector } from '../pipeline/components.ts';
import type { Bundle } from '../runtime/bundle.ts';
import { floatData, openSession, type Session, type SessionOptions } from '../runtime/session.ts';

const SIDE_MULTIPLE = 16;

export class HedEdgeDetector implements EdgeDetector, AsyncDisposable {
  readonly #session: Session;

  private constructor(session: Session) {
    this.#session = session;
  }

  /** @throws {BundleError} when the bundle was made without one */
  static async load(bundle: Bundle, options?: SessionOptions): Promise<HedEdgeDetector> {
    return new HedEdgeDetector(await openSession(bundle.graphPath('edge_detector'), options));
  }

  async detect(args: {
    readonly image: Float32Array;
    readonly height: number;
    readonly width: number;
  }): Promise<Float32Array> {
    const { image, height, width } = args;
    if (
      height % SIDE_MULTIPLE !== 0 ||
      width % SIDE_MULTIPLE !== 0 ||
      image.length !== 3 * height * width
    ) {
      throw new RangeError(
        `a picture of ${image.length} numbers is not [1, 3, ${height}, ${width}] with sides in multiples of ${SIDE_MULTIPLE}`,
      );
    }
    const { edges } = await this.#session.run({
      image: { dtype: 'float32', data: image, shape: [1, 3, height, width] },
    });
    return floatData(edges);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#session[Symbol.asyncDispose]();
  }
}
