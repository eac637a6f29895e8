/** What the function counts and measures, in Prometheus' text format. Names end in their unit. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** Seconds; from a cached preview of a tiny model to a full-size picture on a slow CPU. */
const DURATION_BUCKETS = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300];
const HTTP_BUCKETS = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60];

export type Metrics = ReturnType<typeof createMetrics>;

/** What the gauges read when they are scraped. */
export interface Gauged {
  readonly queueDepth: () => number;
  readonly runningCount: () => number;
}

export function createMetrics({ queueDepth, runningCount }: Gauged) {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  new Gauge({
    name: 'queue_depth',
    help: 'Predictions that wait for a worker',
    registers,
    collect() {
      this.set(queueDepth());
    },
  });
  new Gauge({
    name: 'predictions_running',
    help: 'Predictions that a worker is drawing',
    registers,
    collect() {
      this.set(runningCount());
    },
  });
  return {
    registry,
    predictionsStarted: new Counter({
      name: 'predictions_started_total',
      help: 'Predictions that reached a worker: executions',
      registers,
    }),
    predictions: new Counter({
      name: 'predictions_total',
      help: 'Predictions that ended, by outcome: succeeded, failed, canceled',
      labelNames: ['status'] as const,
      registers,
    }),
    failures: new Counter({
      name: 'prediction_failures_total',
      help: 'Failed predictions by error code',
      labelNames: ['code'] as const,
      registers,
    }),
    refusals: new Counter({
      name: 'requests_refused_total',
      help: 'Requests that were answered with an error, by error code',
      labelNames: ['code'] as const,
      registers,
    }),
    pictures: new Counter({
      name: 'pictures_total',
      help: 'Pictures drawn, by file format',
      labelNames: ['format'] as const,
      registers,
    }),
    variants: new Counter({
      name: 'variants_total',
      help: 'Variants of stored pictures that were made, by file format',
      labelNames: ['format'] as const,
      registers,
    }),
    predictionSeconds: new Histogram({
      name: 'prediction_duration_seconds',
      help: 'Time from the start on a worker to the end, by outcome',
      labelNames: ['status'] as const,
      buckets: DURATION_BUCKETS,
      registers,
    }),
    queueSeconds: new Histogram({
      name: 'queue_wait_seconds',
      help: 'Time that predictions waited for a worker',
      buckets: DURATION_BUCKETS,
      registers,
    }),
    stageSeconds: new Histogram({
      name: 'stage_duration_seconds',
      help: 'Time of the stages of a prediction: text, denoise, vae, image',
      labelNames: ['stage'] as const,
      buckets: DURATION_BUCKETS,
      registers,
    }),
    httpSeconds: new Histogram({
      name: 'http_request_duration_seconds',
      help: 'Time to answer a request, by route and status; streams count until their end',
      labelNames: ['route', 'method', 'status'] as const,
      buckets: HTTP_BUCKETS,
      registers,
    }),
    subscribers: new Gauge({
      name: 'stream_subscribers',
      help: 'Readers of event streams at this moment',
      registers,
    }),
    stalls: new Counter({
      name: 'stream_stalls_total',
      help: 'Connections closed because their reader took nothing',
      registers,
    }),
    webhooks: new Counter({
      name: 'webhook_deliveries_total',
      help: 'Webhooks by outcome: delivered, refused, failed',
      labelNames: ['outcome'] as const,
      registers,
    }),
    workerRestarts: new Counter({
      name: 'worker_restarts_total',
      help: 'Inference workers that were replaced',
      registers,
    }),
  };
}
