/** The part of the objects of API keys that requests talk to. */
import type { Begun, KeptResponse } from './idempotency-log.ts';
import type { SlotWish } from './stream-slots.ts';

export interface KeyObject {
  holdStream(wish: SlotWish): Promise<{ readonly held: boolean; readonly isOver: boolean }>;
  releaseStream(id: string): Promise<void>;
  beginNamed(name: string, fingerprint: string): Promise<Begun>;
  renewNamed(name: string): Promise<void>;
  finishNamed(name: string, response: KeptResponse | undefined): Promise<void>;
  waitForNamed(name: string, waitMs: number): Promise<void>;
  saltOf(fingerprint: string, options: { readonly isRetry: boolean }): Promise<string>;
}

export interface KeyNamespace {
  getByName(name: string): KeyObject;
}
