/** `GET /metrics`: what the isolates of the edge have counted, for Prometheus. The function has its own. */
import type { Handler } from 'hono';
import type { AppEnv, Deps } from '../app-env.ts';

export function metrics({
  counters,
  metricsText,
}: Pick<Deps, 'counters' | 'metricsText'>): Handler<AppEnv> {
  return async (c) => {
    // This isolate at least is up to date.
    await counters.flush();
    return c.body(await metricsText(), 200, {
      'Content-Type': 'text/plain; version=0.0.4; charset=utf-8',
      'Cache-Control': 'no-store',
    });
  };
}
