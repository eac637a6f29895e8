/** `/healthz`: the Worker is alive. `/readyz`: the function could take work, too. */
import type { Handler } from 'hono';
import { ServiceError } from '#shared/errors.ts';
import type { AppEnv, Deps } from '../app-env.ts';

/** Askers within this time share an answer. */
const READY_TTL_MS = 1000;

export function healthz(): Handler<AppEnv> {
  return (c) => c.json({ status: 'ok' }, 200, { 'Cache-Control': 'no-store' });
}

export function readyz({ isUpstreamReady, now, config, promptPolicy }: Deps): Handler<AppEnv> {
  let last = { ready: false, atMs: Number.NEGATIVE_INFINITY };
  return async (c) => {
    if (now() - last.atMs >= READY_TTL_MS) {
      last = { ready: await isUpstreamReady(), atMs: now() };
    }
    const hasKeys = config.authMode === 'none' || config.bootstrapKeys.length > 0;
    if (!hasKeys)
      throw new ServiceError('auth_unavailable', { detail: 'No API keys are configured.' });
    if (!last.ready) throw new ServiceError('model_unavailable', { retryAfterMs: 2000 });
    // Whoever runs this is to know whether prompts are looked at.
    const body = { status: 'ready', prompt_policy: promptPolicy.name };
    return c.json(body, 200, { 'Cache-Control': 'no-store' });
  };
}
