/**
 * One delivery of a webhook: the receiver is a stranger, so everything is bounded and nothing in its answer matters.
 *
 * Redirects are not followed; the body of the answer is not read.
 */
import { HEADERS, MEDIA_TYPES } from '#shared/headers.ts';
import { signWebhook } from './webhook-signature.ts';

export interface WebhookMessage {
  readonly url: string;
  /** The same on every attempt: receivers drop what they have had. */
  readonly id: string;
  readonly body: string;
}

export interface WebhookOptions {
  readonly secrets: readonly string[];
  readonly fetch: (request: Request) => Promise<Response>;
  readonly now: () => number;
}

export type DeliveryOutcome = 'delivered' | 'refused' | 'retry';

const ATTEMPT_DEADLINE_MS = 10_000;
const FIRST_DELAY_MS = 1000;
const DELAY_FACTOR = 6;
/** One second, six, 36, … 7.8 hours: the eighth attempt comes about nine hours after the first. */
export const ATTEMPTS_MAX = 8;

export async function sendWebhook(
  { url, id, body }: WebhookMessage,
  { secrets, fetch, now }: WebhookOptions,
): Promise<DeliveryOutcome> {
  const timestamp = String(Math.floor(now() / 1000));
  const signature = await signWebhook({ id, timestamp, body }, secrets);
  try {
    const response = await fetch(
      new Request(url, {
        method: 'POST',
        headers: {
          'Content-Type': MEDIA_TYPES.json,
          'User-Agent': 'pixart-edge',
          [HEADERS.webhookId]: id,
          [HEADERS.webhookTimestamp]: timestamp,
          [HEADERS.webhookSignature]: signature,
        },
        body,
        redirect: 'manual',
        signal: AbortSignal.timeout(ATTEMPT_DEADLINE_MS),
      }),
    );
    await response.body?.cancel();
    if (response.ok) return 'delivered';
    const { status } = response;
    return status === 408 || status === 429 || status >= 500 ? 'retry' : 'refused';
  } catch {
    // Not reached, reset or too slow: the next attempt decides.
    return 'retry';
  }
}

/** Pause before the next attempt, half of it random so that receivers are not met by all at once. */
export function retryDelayMs(attempts: number, random: number): number {
  return FIRST_DELAY_MS * DELAY_FACTOR ** (attempts - 1) * (0.75 + random / 2);
}
