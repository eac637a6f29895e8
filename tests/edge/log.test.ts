import { describe, expect, test } from 'vitest';
import { createLog } from '../../edge/log.ts';

function record(level: Parameters<typeof createLog>[0]) {
  const lines: Record<string, unknown>[] = [];
  const log = createLog(level, { write: (line) => lines.push(JSON.parse(line)) });
  return { log, lines };
}

describe('createLog()', () => {
  test('createLog() writes one JSON line for an event', () => {
    const { log, lines } = record('info');
    log.info('request.completed', { status: 200, note: 'a\n{"fake":1}' });
    expect(lines).toEqual([
      {
        level: 'info',
        event: 'request.completed',
        service: 'edge',
        status: 200,
        note: 'a\n{"fake":1}',
      },
    ]);
  });

  test('createLog() leaves out what is below its level', () => {
    const { log, lines } = record('error');
    log.debug('a.b');
    log.info('a.b');
    log.error('a.b');
    expect(lines.map(({ level }) => level)).toEqual(['error']);
    const silent = record('silent');
    silent.log.error('a.b');
    expect(silent.lines).toEqual([]);
  });

  test('createLog() tells what an error was caused by', () => {
    const { log, lines } = record('info');
    log.error('a.b', {}, new Error('outer', { cause: new TypeError('inner') }));
    expect(lines[0]).toMatchObject({ error: 'Error: outer', causes: ['TypeError: inner'] });
    log.error('a.b', {}, 'text');
    expect(lines[1]).toMatchObject({ error: 'text' });
  });

  test('createLog() cuts texts that are too long', () => {
    const { log, lines } = record('info');
    log.info('a.b', { text: 'x'.repeat(10_000) });
    expect(lines[0]).toMatchObject({ text: `${'x'.repeat(4096)}…` });
  });
});
