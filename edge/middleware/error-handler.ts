/** The one place where errors become responses. */
import type { ErrorHandler } from 'hono';
import type { AppEnv } from '../app-env.ts';
import type { Log } from '../log.ts';
import { renderError, toServiceError } from '../render-error.ts';
import { rawPath } from '../request-path.ts';

export function errorHandler(log: Log): ErrorHandler<AppEnv> {
  return (error, c) => {
    const known = toServiceError(error);
    const { requestId, surface } = c.var;
    if (known.status >= 500) {
      log.error('request.failed', { request_id: requestId, code: known.code }, known);
    }
    c.set('logFields', { ...c.var.logFields, code: known.code });
    return renderError(known, { surface, requestId, instance: rawPath(c.req.url) });
  };
}
