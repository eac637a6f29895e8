/** The adapters of a request → what the transformer is fed; the last few mixtures are kept, since they come again. */
import type { AdapterStore } from '../adapters/adapter-store.ts';
import { loraFeeds } from '../adapters/lora-feeds.ts';
import type { AppliedLora } from '../pipeline/components.ts';
import type { Adaptation } from './pixart-transformer.ts';

/** One mixture of an LCM-LoRA for the 1024 model has 110 MB. */
const MIXTURES_MAX = 2;

export class Adaptations {
  readonly #store: AdapterStore;
  readonly #recent = new Map<string, Adaptation>();

  constructor(store: AdapterStore) {
    this.#store = store;
  }

  /**
   * @returns undefined when nothing is applied: no adapters, or all with weight 0
   * @throws {ServiceError} `adapter_not_found`, `adapter_invalid`
   */
  async of(loras: readonly AppliedLora[]): Promise<Adaptation | undefined> {
    const used = [];
    for (const { id, weight } of loras) {
      const { version, layers } = await this.#store.get(id);
      if (weight !== 0) used.push({ name: `${id}@${version}:${weight}`, layers, weight });
    }
    if (used.length === 0) return undefined;
    const key = used.map(({ name }) => name).join(' ');
    const known = this.#recent.get(key);
    const adaptation = known ?? { key, feeds: loraFeeds(used, this.#store.modules) };
    this.#recent.delete(key);
    this.#recent.set(key, adaptation);
    const [oldest] = this.#recent.keys();
    if (this.#recent.size > MIXTURES_MAX) this.#recent.delete(oldest!);
    return adaptation;
  }
}
