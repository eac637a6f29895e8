/** `POST /v1/images/generations`: OpenAI's shape, as JSON or as a stream of events. */
import type { Handler } from 'hono';
import { ServiceError } from '#shared/errors.ts';
import { generateRequest } from '#shared/schemas/generate.ts';
import type { AppEnv, Deps } from '../app-env.ts';
import { parseCacheWish } from '../cache-wish.ts';
import type { Drawings } from '../drawing.ts';
import { findUnknownNames } from '../generation.ts';
import type { NamedRequest } from '../idempotency.ts';
import { parseRequest } from '../parse-request.ts';
import { readJsonBody } from '../read-body.ts';
import { rawPath } from '../request-path.ts';
import { answerPictures } from './answer-pictures.ts';

export function generations(deps: Deps, drawings: Drawings): Handler<AppEnv> {
  const { config } = deps;
  return async (c) => {
    const { caller, times, route, requestId, traceparent } = c.var;
    const body = await readJsonBody(c.req.raw, {
      bytesMax: route?.bodyBytesMax ?? 0,
      deadlineMs: config.bodyDeadlineMs,
    });
    const request = parseRequest(generateRequest, body);
    const unknownNames = findUnknownNames(body);
    const plan = drawings.plan(request, { caller, unknownNames });
    const wish = parseCacheWish(c.req.header('Cache-Control'));
    if (wish.noStore && plan.responseFormat === 'url') {
      throw new ServiceError('invalid_parameter', {
        detail: 'A picture that must not be stored has no URL; ask for b64_json.',
        param: 'response_format',
      });
    }
    const waitUntil = (work: Promise<unknown>) => c.executionCtx.waitUntil(work);
    const named: NamedRequest = {
      caller,
      request: c.req.raw,
      path: rawPath(c.req.url),
      body,
      isStream: plan.stream,
      keeps: !wish.noStore,
      isRandom: wish.noStore || (wish.reload && plan.seed === undefined),
      deadlineMs: config.jobDeadlineMs,
      waitUntil,
    };
    return deps.idempotency.run(named, async ({ resumable, salt }) => {
      const drawing = await drawings.prepare(plan, {
        caller,
        wish,
        unknownNames,
        isNewEachTime: false,
        resumable,
        salt,
        wantsBytes: plan.responseFormat === 'b64_json' || plan.stream,
        previews: plan.stream ? plan.partialImages : 0,
        requestId,
        traceparent,
        waitUntil,
        onBudget: (view) => c.set('generations', view),
        onLookUp: (work) => times.measure('cache', work),
      });
      return answerPictures(drawing, c, deps);
    });
  };
}
