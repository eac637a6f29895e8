/**
 * Budgets as headers: `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10), and OpenAI's three.
 *
 * A bucket of `burst` tokens that gains `rate` a minute is the policy q = burst in w = the time that fills it.
 */
import { HEADERS } from '#shared/headers.ts';
import type { GenerationView } from './app-env.ts';
import type { ReadView } from './read-leases.ts';
import type { BucketLimits } from './token-bucket.ts';

export function setRateLimitHeaders(
  headers: Headers,
  views: {
    readonly generation: GenerationView | undefined;
    readonly read: ReadView | undefined;
  },
): void {
  const { generation, read } = views;
  const policies = [];
  const limits = [];
  if (generation !== undefined) {
    policies.push(policy('generation', generation.limits));
    limits.push(limit('generation', generation));
    headers.set('x-ratelimit-limit-requests', String(generation.limits.burst));
    headers.set('x-ratelimit-remaining-requests', String(generation.remaining));
    headers.set('x-ratelimit-reset-requests', goDuration(generation.fullMs));
  }
  if (read !== undefined) {
    policies.push(policy('read', read.limits));
    limits.push(limit('read', read));
  }
  if (policies.length === 0) return;
  headers.set(HEADERS.rateLimitPolicy, policies.join(', '));
  headers.set(HEADERS.rateLimit, limits.join(', '));
}

function policy(name: string, { rate, burst }: BucketLimits): string {
  return `"${name}";q=${burst};w=${Math.max(1, Math.ceil((burst * 60) / rate))}`;
}

function limit(name: string, view: { remaining: number; nextMs: number }): string {
  const seconds = Math.ceil(view.nextMs / 1000);
  return `"${name}";r=${Math.max(0, view.remaining)}${seconds > 0 ? `;t=${seconds}` : ''}`;
}

/** A duration as Go prints it: `20ms`, `1s`, `6m0s`. */
export function goDuration(ms: number): string {
  if (ms < 1000) return `${Math.ceil(ms)}ms`;
  const seconds = Math.ceil(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  return minutes > 0 ? `${minutes}m${seconds % 60}s` : `${seconds}s`;
}
