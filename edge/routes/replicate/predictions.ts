/** `GET /v1/predictions`, `GET /v1/predictions/{id}`, `POST /v1/predictions/{id}/cancel`. */
import type { Context, Handler } from 'hono';
import { decodeBase64, encodeBase64 } from '#shared/base64.ts';
import { ServiceError } from '#shared/errors.ts';
import { accountOf } from '../../account-of.ts';
import type { PredictionRecord } from '../../account-protocol.ts';
import type { AppEnv, Deps } from '../../app-env.ts';
import { IDENTIFIER_PATTERN } from '../../identifier.ts';
import { toPredictionObject } from '../../prediction-object.ts';
import { publicOrigin } from '../public-origin.ts';

const PAGE_LENGTH = 100;

export function getPrediction(deps: Deps): Handler<AppEnv> {
  return async (c) => {
    const id = idOf(c);
    const { account } = await accountOf(c, deps);
    return respond(c, await account.getPrediction(id));
  };
}

/** Answers once it has stopped; a prediction that has ended stays as it is. */
export function cancelPrediction(deps: Deps): Handler<AppEnv> {
  return async (c) => {
    const id = idOf(c);
    const { account } = await accountOf(c, deps);
    return respond(c, await account.cancelPrediction(id));
  };
}

/** Newest first, a hundred a page. */
export function listPredictions(deps: Deps): Handler<AppEnv> {
  return async (c) => {
    const before = parseCursor(c.req.query('cursor'));
    const { account } = await accountOf(c, deps);
    const records = await account.listPredictions({
      before,
      createdAfterMs: parseTime(c, 'created_after'),
      createdBeforeMs: parseTime(c, 'created_before'),
      limit: PAGE_LENGTH + 1,
    });
    const page = records.slice(0, PAGE_LENGTH);
    const last = page.at(-1);
    const next = records.length > PAGE_LENGTH && last !== undefined ? nextUrl(c, deps, last) : null;
    return c.json({ previous: null, next, results: page.map(toPredictionObject) }, 200, {
      'Cache-Control': 'no-store',
    });
  };
}

function idOf(c: Context<AppEnv>): string {
  const id = c.req.param('id') ?? '';
  if (!IDENTIFIER_PATTERN.test(id)) throw notFound();
  return id;
}

function respond(c: Context<AppEnv>, record: PredictionRecord | null): Response {
  if (record === null) throw notFound();
  return c.json(toPredictionObject(record), 200, { 'Cache-Control': 'no-store' });
}

function notFound(): ServiceError {
  return new ServiceError('not_found', { detail: 'There is no such prediction.' });
}

function nextUrl(c: Context<AppEnv>, deps: Deps, { createdMs, id }: PredictionRecord): string {
  const url = new URL('/v1/predictions', publicOrigin(c, deps));
  for (const name of ['created_after', 'created_before']) {
    const value = c.req.query(name);
    if (value !== undefined) url.searchParams.set(name, value);
  }
  url.searchParams.set('cursor', encodeBase64(new TextEncoder().encode(`${createdMs} ${id}`)));
  return url.href;
}

function parseCursor(cursor: string | undefined): readonly [number, string] | null {
  if (cursor === undefined) return null;
  const [, createdMs, id] = /^(\d{1,15}) ([a-z2-7]{26})$/.exec(decodeText(cursor)) ?? [];
  if (createdMs === undefined || id === undefined) throw invalid('cursor', 'one of this list');
  return [Number(createdMs), id];
}

function decodeText(base64: string): string {
  try {
    return new TextDecoder().decode(decodeBase64(base64));
  } catch {
    // Not base64: no cursor of ours.
    return '';
  }
}

function parseTime(c: Context<AppEnv>, name: string): number | null {
  const value = c.req.query(name);
  if (value === undefined) return null;
  const ms = /^\d{4}-\d{2}-\d{2}/.test(value) ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(ms)) throw invalid(name, 'a date and time as in 2026-01-31T12:00:00Z');
  return ms;
}

function invalid(param: string, wanted: string): ServiceError {
  return new ServiceError('invalid_query', { param, detail: `${param} must be ${wanted}.` });
}
