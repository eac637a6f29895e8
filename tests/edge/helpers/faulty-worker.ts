/**
 * The Worker with faults that a test switches on: storage that fails, hangs or lies, objects that are overloaded or killed.
 *
 * `POST /_faults` sets them, as JSON; `POST /_abort?prompt=…` kills the job object that draws a prompt, without warning.
 * Everything else is the real Worker.
 */
import type { Env } from '../../../edge/env.ts';
import worker, { Job as RealJob } from '../../../edge/index.ts';

export * from '../../../edge/index.ts';

interface Faults {
  /** `partial` cuts the bytes and keeps the digest. */
  put: 'none' | 'fail' | 'hang' | 'throttle' | 'partial';
  cache: 'none' | 'fail' | 'forget';
  job: 'none' | 'overloaded' | 'lost';
  key: 'none' | 'fail';
}

const faults: Faults = { put: 'none', cache: 'none', job: 'none', key: 'none' };
/** Names of the objects by the prompt they were asked for last. */
const names = new Map<string, string>();

export class Job extends RealJob {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, withFaults(env));
  }

  override async fetch(request: Request): Promise<Response> {
    const { spec } = (await request.clone().json()) as { spec: { input: { prompt: string } } };
    const { name } = this.ctx.id;
    if (name !== undefined) names.set(spec.input.prompt, name);
    return super.fetch(request);
  }

  die(): void {
    this.ctx.abort('killed by a test');
  }
}

export default {
  async fetch(request, env, ctx): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === '/_faults') {
      Object.assign(faults, await request.json());
      return new Response();
    }
    if (pathname === '/_abort') {
      const name = names.get(searchParams.get('prompt') ?? '');
      if (name === undefined) return new Response(null, { status: 404 });
      const stub = env.JOB.getByName(name) as unknown as { die(): Promise<void> };
      // It cannot answer: it is dead.
      await stub.die().catch(() => undefined);
      return new Response();
    }
    breakCache();
    return worker.fetch(request as never, withFaults(env), ctx);
  },
} satisfies ExportedHandler<Env>;

function withFaults(env: Env): Env {
  return {
    ...env,
    IMAGES: faultyBucket(env.IMAGES),
    JOB: faultyNamespace(env.JOB, () => faults.job),
    API_KEY: faultyNamespace(env.API_KEY, () => (faults.key === 'fail' ? 'lost' : 'none')),
  };
}

function faultyBucket(bucket: R2Bucket): R2Bucket {
  const put = async (
    name: string,
    value: string | Uint8Array,
    options: R2PutOptions,
  ): Promise<unknown> => {
    switch (faults.put) {
      case 'none':
        return bucket.put(name, value, options);
      case 'fail':
        throw new Error('put: We encountered an internal error. (10001)');
      case 'throttle':
        throw new Error('put: Reduce your concurrent request rate for the same object. (10058)');
      case 'hang':
        return new Promise(() => undefined);
      case 'partial':
        return bucket.put(name, value.slice(0, value.length >> 1), options);
      default:
        return faults.put satisfies never;
    }
  };
  return new Proxy(bucket, {
    get: (target, name) => {
      if (name === 'put') return put;
      const member = Reflect.get(target, name) as unknown;
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
}

function faultyNamespace<T extends { getByName(name: string): object }>(
  namespace: T,
  fault: () => Faults['job'],
): T {
  const getByName = (name: string) => {
    if (fault() === 'none') return namespace.getByName(name);
    const error =
      fault() === 'overloaded'
        ? Object.assign(new Error('Durable Object is overloaded.'), { overloaded: true })
        : Object.assign(new Error('Network connection lost.'), { retryable: true });
    return new Proxy({}, { get: () => () => Promise.reject(error) });
  };
  return new Proxy(namespace, {
    get: (target, name) => {
      if (name === 'getByName') return getByName;
      const member = Reflect.get(target, name) as unknown;
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
}

let isCacheBroken = false;

/** Puts the faults in front of the Cache API, once. */
function breakCache(): void {
  if (isCacheBroken) return;
  isCacheBroken = true;
  const { default: cache } = caches;
  const faulty = {
    match: async (url: string) => {
      if (faults.cache === 'fail') throw new Error('the cache is down');
      return faults.cache === 'forget' ? undefined : cache.match(url);
    },
    put: async (url: string, response: Response) => {
      if (faults.cache === 'fail') throw new Error('the cache is down');
      if (faults.cache === 'none') await cache.put(url, response);
    },
    delete: (url: string) => cache.delete(url),
  };
  Object.defineProperty(globalThis, 'caches', { value: { default: faulty }, configurable: true });
}
