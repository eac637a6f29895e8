/** Keys for tests of clients: a wide one for most of them, and narrow ones that run dry with the second picture. */
import { createApiKey } from '#shared/api-key.ts';

export interface ClientKeys {
  /** `API_KEYS_BOOTSTRAP` with all of them. */
  readonly binding: string;
  readonly wide: string;
  /** One generation at once, and the next one three seconds later. */
  readonly narrow: ReadonlyMap<string, string>;
}

/** @param names  of the narrow ones */
export async function createClientKeys(names: readonly string[]): Promise<ClientKeys> {
  const wide = await createApiKey();
  const narrow = await Promise.all(
    names.map(async (name) => [name, await createApiKey()] as const),
  );
  const record = ({ id, sha256 }: typeof wide, rate: number, burst: number) => {
    return { id, sha256, scopes: ['generate', 'read'], rate, burst };
  };
  return {
    binding: JSON.stringify([
      record(wide, 100_000, 10_000),
      ...narrow.map(([, key]) => record(key, 20, 1)),
    ]),
    wide: wide.key,
    narrow: new Map(narrow.map(([name, { key }]) => [name, key])),
  };
}
