/** Bindings of the Worker, as `wrangler.toml` declares them. Only `config.ts` and `index.ts` look inside. */
import type { Account } from './account.ts';
import type { ApiKey } from './api-key.ts';
import type { Deletions } from './deletions.ts';
import type { Job } from './job.ts';
import type { KeyRing } from './key-ring.ts';
import type { Metrics } from './metrics.ts';
import type { PictureVariants } from './picture-variants.ts';

export interface Env {
  readonly JOB: DurableObjectNamespace<Job>;
  readonly API_KEY: DurableObjectNamespace<ApiKey>;
  readonly ACCOUNT: DurableObjectNamespace<Account>;
  readonly KEY_RING: DurableObjectNamespace<KeyRing>;
  readonly METRICS: DurableObjectNamespace<Metrics>;
  readonly PICTURE_VARIANTS: DurableObjectNamespace<PictureVariants>;
  readonly DELETIONS: DurableObjectNamespace<Deletions>;
  readonly IMAGES: R2Bucket;
  readonly ASSETS?: Fetcher;
  readonly GPU_URL?: string;
  readonly GPU_SIGNING_KEY?: string;
  readonly UPSTREAMS?: string;
  readonly REPLICATE_API_TOKEN?: string;
  readonly REPLICATE_WEBHOOK_SECRET?: string;
  readonly REPLICATE_API_URL?: string;
  readonly MODELS?: string;
  readonly DEFAULT_MODEL?: string;
  readonly MODEL_ALIASES?: string;
  readonly AUTH_MODE?: string;
  readonly API_KEYS_BOOTSTRAP?: string;
  readonly GENERATIONS_PER_MINUTE?: string;
  readonly GENERATIONS_BURST?: string;
  readonly READS_PER_MINUTE?: string;
  readonly PUBLIC_ORIGIN?: string;
  readonly WEBHOOK_TARGETS?: string;
  readonly CORS_ORIGINS?: string;
  readonly CACHE_VISIBILITY_DEFAULT?: string;
  readonly IMAGE_RETENTION_DAYS?: string;
  readonly URL_SIGNING_KEYS?: string;
  readonly CACHE_API?: string;
  readonly JOB_DEADLINE_MS?: string;
  readonly UPSTREAM_IDLE_MS?: string;
  readonly BODY_DEADLINE_MS?: string;
  readonly PROMPT_BLOCKLIST?: string;
  readonly LOG_LEVEL?: string;
}
