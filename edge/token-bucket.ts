/**
 * Refill arithmetic of a token bucket, pure.
 *
 * A bucket holds up to `burst` tokens and gains `rate` a minute. Time that runs backwards gives no credit.
 */

export interface BucketLimits {
  /** Tokens per minute. */
  readonly rate: number;
  readonly burst: number;
}

export interface BucketState {
  readonly tokens: number;
  readonly atMs: number;
}

export interface BucketView {
  /** Whole tokens left. */
  readonly remaining: number;
  /** Milliseconds until there is one more token than now; 0 when full. */
  readonly nextMs: number;
  /** Milliseconds until the bucket is full. */
  readonly fullMs: number;
}

export function fullBucket(limits: BucketLimits, nowMs: number): BucketState {
  return { tokens: limits.burst, atMs: nowMs };
}

export function refill(state: BucketState, limits: BucketLimits, nowMs: number): BucketState {
  const elapsedMs = Math.max(0, nowMs - state.atMs);
  const tokens = Math.min(limits.burst, state.tokens + (elapsedMs * limits.rate) / 60_000);
  return { tokens, atMs: Math.max(nowMs, state.atMs) };
}

/** Takes up to `count` whole tokens. */
export function takeTokens(
  state: BucketState,
  limits: BucketLimits,
  { nowMs, count }: { readonly nowMs: number; readonly count: number },
): { readonly state: BucketState; readonly taken: number } {
  const now = refill(state, limits, nowMs);
  const taken = Math.min(count, Math.floor(now.tokens));
  return { state: { tokens: now.tokens - taken, atMs: now.atMs }, taken };
}

export function viewBucket(state: BucketState, limits: BucketLimits, nowMs: number): BucketView {
  const { tokens } = refill(state, limits, nowMs);
  const msPerToken = 60_000 / limits.rate;
  const remaining = Math.floor(tokens);
  const missing = limits.burst - tokens;
  return {
    remaining,
    nextMs: missing <= 0 ? 0 : Math.ceil((remaining + 1 - tokens) * msPerToken),
    fullMs: missing <= 0 ? 0 : Math.ceil(missing * msPerToken),
  };
}

/** A bucket that looks so now: never poorer than the real one, and by at most a millisecond's gain richer. */
export function bucketOf(view: BucketView, limits: BucketLimits, nowMs: number): BucketState {
  const { remaining, nextMs } = view;
  const part = nextMs > 0 ? 1 - ((nextMs - 1) * limits.rate) / 60_000 : 0;
  return { tokens: remaining + Math.max(0, part), atMs: nowMs };
}

/** For a caller whose bucket is empty. */
export function describeLimits({ rate, burst }: BucketLimits): string {
  return `This key may start ${rate} generations a minute, ${burst} at once.`;
}
