import { describe, expect, it } from 'vitest';
import { createLog } from '../../gpu-fn/log.ts';

function record(level: 'debug' | 'info' | 'error' | 'silent') {
  const lines: string[] = [];
  const now = () => Date.UTC(2026, 0, 2);
  return { lines, log: createLog({ level, write: (line) => lines.push(line), now }) };
}

describe('createLog()', () => {
  it('writes one JSON line with time, level, event and fields', () => {
    const { lines, log } = record('info');
    log.info('server.listening', { port: 5000 });
    expect(lines).toEqual([
      '{"time":"2026-01-02T00:00:00.000Z","level":"info","event":"server.listening","port":5000}\n',
    ]);
  });

  it.each([
    ['debug', 3],
    ['info', 2],
    ['error', 1],
    ['silent', 0],
  ] as const)('at level %s writes %i of three levels', (level, count) => {
    const { lines, log } = record(level);
    log.debug('a.b');
    log.info('a.b');
    log.error('a.b');
    expect(lines).toHaveLength(count);
  });

  it('keeps text with line ends on one line', () => {
    const { lines, log } = record('info');
    log.info('a.b', { text: 'x\n{"level":"error"}\r\u2028' });
    expect(lines.join('').trimEnd().split('\n')).toHaveLength(1);
  });

  it('cuts fields that are far too long', () => {
    const { lines, log } = record('info');
    log.info('a.b', { text: 'x'.repeat(10_000) });
    expect(lines[0]!.length).toBeLessThan(4300);
  });

  it('writes the stack of an error', () => {
    const { lines, log } = record('info');
    log.error('a.b', {}, new Error('why'));
    expect(JSON.parse(lines[0]!).error).toMatch(/^Error: why\n/);
  });
});
