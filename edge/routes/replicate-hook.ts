/**
 * `POST /hooks/replicate`: Replicate tells that a prediction has changed.
 *
 * What is believed is that something has changed, no more: the job that waits asks for the state itself. So deliveries may
 * come early, twice, in any order, or for work that is long over.
 */
import type { Handler } from 'hono';
import * as z from 'zod';
import { ServiceError } from '#shared/errors.ts';
import type { AppEnv, Deps } from '../app-env.ts';
import { readBytes } from '../read-body.ts';
import { verifyDelivery } from '../upstreams/webhook-signature.ts';

const target = z.object({
  /** Cache key, or the name of an object that shares with nobody. */
  job: z.string().regex(/^[A-Za-z0-9-]{16,128}$/),
  run: z.uuid(),
});
const news = z.looseObject({ id: z.string().regex(/^[a-z0-9]{1,64}$/) });

export function replicateHook({ config, deliver, now }: Deps): Handler<AppEnv> {
  const { webhookSecrets: secrets } = config.replicate;
  return async (c) => {
    if (secrets.length === 0) throw new ServiceError('not_found');
    const body = await readBytes(c.req.raw, {
      bytesMax: c.var.route?.bodyBytesMax ?? 0,
      deadlineMs: config.bodyDeadlineMs,
    });
    const header = (name: string) => c.req.header(name);
    const deliveryId = await verifyDelivery({ header, body }, { secrets, nowMs: now() });
    const to = target.safeParse({ job: c.req.query('job'), run: c.req.query('run') });
    const told = news.safeParse(parseJson(body));
    if (!to.success || !told.success) return c.json({ outcome: 'unknown' }, 202, NO_STORE);
    const { job, run } = to.data;
    const outcome = await deliver(job, { run, predictionId: told.data.id, deliveryId });
    return c.json({ outcome }, outcome === 'unknown' ? 202 : 200, NO_STORE);
  };
}

const NO_STORE = { 'Cache-Control': 'no-store' };

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    // Signed, and yet not what was agreed: there is nothing to tell anybody.
    return undefined;
  }
}
