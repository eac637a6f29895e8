/**
 * Nobody computes for the departed: when the last one who waits has left, the function stops.
 *
 *     node bench/promises/nobody-computes.ts [--small] [--json] [--seed N]
 *
 * Callers leave by FIN and by RST in six phases, fifty times each:
 *
 *     P0 before a byte was sent      P1 in the middle of the body       P2 as the second of two who wait, then the first
 *     P3 while the model draws       P4 when previews have come         P5 after the picture
 *
 * The function says when it was let go. Streams: within a second (the heartbeat) and one step; with `Idempotency-Key` two
 * seconds more. Plain JSON: by RST as streams, by FIN at the deadline of the job. Nothing is left five seconds after that.
 */
import { fileURLToPath } from 'node:url';
import {
  generationBytes,
  type RawRequest,
  type RunningEdge,
  rawRequest,
  startEdge,
} from '../../tests/helpers/edge.ts';
import { pictureOf, send, toDataUri } from '../../tests/helpers/upstream.ts';
import { type CommandOptions, quantile, type Report, runCommand, seededRandom } from './command.ts';

const PHASES = ['P0', 'P1', 'P2', 'P3', 'P4', 'P5'] as const;
type Phase = (typeof PHASES)[number];
const KINDS = ['stream', 'resumable stream', 'json'] as const;
type Kind = (typeof KINDS)[number];
const WAYS = ['FIN', 'RST'] as const;
type Way = (typeof WAYS)[number];

const REPEATS = { full: 50, small: 1 };
const DEADLINE_MS = 5000;
const HEARTBEAT_MS = 1000;
const GRACE_MS = 2000;
/** A step of the stand-in takes no time; this is what a busy machine adds. */
const SLACK_MS = { full: 250, small: 4000 };
const ORPHAN_MS = DEADLINE_MS + 5000;

interface Departure {
  readonly phase: Phase;
  readonly kind: Kind;
  readonly way: Way;
}

export async function measureDepartures(options: CommandOptions): Promise<Report> {
  const form = options.small ? 'small' : 'full';
  const random = seededRandom(options.seed);
  await using edge = await startEdge({ bindings: { JOB_DEADLINE_MS: String(DEADLINE_MS) } });
  edge.upstream.behaviour = {
    during: async (response) => {
      const image = toDataUri(pictureOf({ width: 16, height: 16, seed: 1, prompt: '' }));
      send(response, 'preview', { index: 0, step: 1, steps: 4, image });
      await new Promise(() => undefined);
    },
  };
  const departures = PHASES.flatMap((phase) =>
    KINDS.flatMap((kind) => WAYS.map((way): Departure => ({ phase, kind, way }))),
  ).filter(isPossible);
  const all = Array.from({ length: REPEATS[form] }, () => departures)
    .flat()
    .map((departure) => ({ departure, order: random() }))
    .toSorted((a, b) => a.order - b.order);
  const lags = new Map<string, number[]>();
  const findings: string[] = [];
  let orphans = 0;
  let done = 0;
  for (const { departure } of all) {
    const lagMs = await leave(edge, departure, `${options.seed} ${done}`);
    const { phase, kind, way } = departure;
    done += 1;
    if (done % 50 === 0) options.progress(`${done} of ${all.length}`);
    if (lagMs === undefined) continue;
    const limitMs = limitOf(departure) + SLACK_MS[form];
    const name = `${kind}, ${way}`;
    lags.set(name, [...(lags.get(name) ?? []), lagMs]);
    if (lagMs >= ORPHAN_MS) orphans += 1;
    if (lagMs > limitMs) {
      findings.push(`${phase} ${kind} ${way}: ${Math.round(lagMs)} ms, limit ${limitMs}`);
    }
  }
  const figures: Record<string, number | string> = { departures: all.length, orphans };
  for (const [name, values] of lags) {
    figures[`${name}: p50 / p99 ms`] =
      `${Math.round(quantile(values, 0.5))} / ${Math.round(quantile(values, 0.99))}`;
  }
  return { kept: findings.length === 0, figures, findings: findings.slice(0, 20) };
}

/** A plain answer has no previews, and shows no FIN before its head: that is known, and stated. */
function isPossible({ phase, kind }: Departure): boolean {
  return kind !== 'json' || phase !== 'P4';
}

function limitOf({ kind, way }: Departure): number {
  if (kind === 'json' && way === 'FIN') return DEADLINE_MS;
  return HEARTBEAT_MS + (kind === 'resumable stream' ? GRACE_MS : 0);
}

/**
 * Milliseconds from the departure of the last caller until the function was let go; undefined where it has nothing to be let
 * go of.
 *
 * @throws when the function was asked for somebody who had not finished asking
 */
async function leave(
  edge: RunningEdge,
  { phase, kind, way }: Departure,
  name: string,
): Promise<number | undefined> {
  const { upstream } = edge;
  const body = {
    prompt: `gone ${name}`,
    stream: kind !== 'json',
    partial_images: kind === 'json' ? 0 : 1,
  };
  const bytes = withKey(
    generationBytes(edge, body),
    kind === 'resumable stream' ? name : undefined,
  );
  const before = upstream.received.length;
  if (phase === 'P0' || phase === 'P1') {
    const raw = rawRequest(edge.url, phase === 'P0' ? '' : bytes.slice(0, -5));
    await connected(raw);
    end(raw, way);
    // Whoever asks next is served: by then the other would have been noticed.
    const other = rawRequest(edge.url, bytes);
    await upstream.when(() => upstream.received.length > before);
    if (upstream.received.length > before + 1) throw new Error('the function was asked twice');
    return ended(edge, before, [other], way);
  }
  if (phase === 'P5') {
    const { behaviour } = upstream;
    upstream.behaviour = {};
    const raw = rawRequest(edge.url, bytes);
    await raw.has(kind === 'json' ? /"b64_json"/ : /image_generation\.completed/);
    end(raw, way);
    upstream.behaviour = behaviour;
    return undefined;
  }
  const first = rawRequest(edge.url, bytes);
  await upstream.when(() => upstream.received.length > before);
  if (phase === 'P4') await first.has(/partial_image/);
  if (phase !== 'P2') return ended(edge, before, [first], way);
  const second = rawRequest(edge.url, generationBytes(edge, { ...body, stream: true }));
  await second.has(/: accepted/);
  return ended(edge, before, [second, first], way);
}

/** Ends the connections in turn and waits until the function has been let go. */
async function ended(
  { upstream }: RunningEdge,
  index: number,
  connections: readonly RawRequest[],
  way: Way,
): Promise<number> {
  for (const raw of connections) end(raw, way);
  const leftMs = performance.now();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const orphaned = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ORPHAN_MS);
  });
  await Promise.race([
    upstream.when(() => upstream.received[index]!.outcome === 'canceled'),
    orphaned,
  ]);
  clearTimeout(timer);
  return performance.now() - leftMs;
}

function end({ socket }: RawRequest, way: Way): void {
  if (way === 'RST') socket.resetAndDestroy();
  else socket.destroy();
}

async function connected({ socket }: RawRequest): Promise<void> {
  if (socket.connecting) await new Promise((resolve) => socket.once('connect', resolve));
}

function withKey(bytes: string, key: string | undefined): string {
  if (key === undefined) return bytes;
  const header = `Idempotency-Key: ${key.replaceAll(' ', '-')}`;
  return bytes.replace('Content-Type', `${header}\r\nContent-Type`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await runCommand('nobody computes for the departed', measureDepartures);
}
