/**
 * The upstreams of a configuration, made once for each isolate: circuits and budgets are shared by all its objects.
 */
import type { SigningKey } from '#shared/signature.ts';
import type { Config, UpstreamConfig } from '../config.ts';
import { createLog } from '../log.ts';
import { CogUpstream } from './cog.ts';
import { ReplicateUpstream } from './replicate.ts';
import { RetryBudget } from './retry-budget.ts';
import type { Upstream } from './upstream.ts';
import { Upstreams } from './upstreams.ts';

/** Where hosted upstreams report to. */
export const REPLICATE_HOOK_PATH = '/hooks/replicate';

let made: { readonly config: Config; readonly upstreams: Upstreams } | undefined;

export function loadUpstreams(config: Config): Upstreams {
  if (made?.config !== config) made = { config, upstreams: createUpstreams(config) };
  return made.upstreams;
}

function createUpstreams(config: Config): Upstreams {
  const log = createLog(config.logLevel);
  const retryBudget = new RetryBudget({ now: Date.now });
  const all = config.models.map(({ id }) => id);
  return new Upstreams({
    candidates: config.upstreams.map((upstream) => ({
      upstream: createUpstream(upstream, config, retryBudget),
      models: new Set(upstream.models ?? all),
    })),
    retryBudget,
    now: Date.now,
    deadlineMsMax: config.jobDeadlineMs,
    onFailover: ({ from, to, code, requestId }) =>
      log.info('upstream.failed_over', { from, to, code, request_id: requestId }),
    onCircuit: ({ upstream, state }) =>
      state === 'closed'
        ? log.info('circuit.closed', { upstream })
        : log.error('circuit.opened', { upstream }),
  });
}

/** What requests to a function are signed with. */
export function signingKeyOf(
  { signing_key: id }: { readonly signing_key?: string | undefined },
  config: Pick<Config, 'signingKey' | 'signingKeys'>,
): SigningKey | undefined {
  return id === undefined ? config.signingKey : config.signingKeys.find((key) => key.id === id);
}

function createUpstream(
  upstream: UpstreamConfig,
  config: Config,
  retryBudget: RetryBudget,
): Upstream {
  const shared = {
    name: upstream.name,
    idleMs: config.upstreamIdleMs,
    retryBudget,
    fetch: (request: Request) => fetch(request),
    now: Date.now,
    random: Math.random,
  };
  if ('url' in upstream) {
    const signingKey = signingKeyOf(upstream, config);
    return new CogUpstream({ ...shared, url: upstream.url, signingKey });
  }
  const { apiUrl, token = '', webhookSecrets } = config.replicate;
  const { publicOrigin } = config;
  return new ReplicateUpstream({
    ...shared,
    model: upstream.replicate,
    input: upstream.input,
    baseUrl: apiUrl,
    token,
    webhookUrl:
      publicOrigin === undefined || webhookSecrets.length === 0
        ? undefined
        : `${publicOrigin}${REPLICATE_HOOK_PATH}`,
  });
}
