import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createMetrics } from '../../gpu-fn/metrics.ts';

describe('createMetrics()', () => {
  it('reads the gauges when it is scraped', async () => {
    let depth = 3;
    const { registry } = createMetrics({ queueDepth: () => depth, runningCount: () => 1 });
    expect(await registry.metrics()).toContain('\nqueue_depth 3\n');
    depth = 0;
    expect(await registry.metrics()).toContain('\nqueue_depth 0\n');
  });

  it('has every metric of ours in the README', async () => {
    const { registry } = createMetrics({ queueDepth: () => 0, runningCount: () => 0 });
    const readme = readFileSync(new URL('../../gpu-fn/README.md', import.meta.url), 'utf8');
    const names = (await registry.getMetricsAsJSON()).map(({ name }) => name);
    const ours = names.filter((name) => !/^(process|nodejs)_/.test(name));
    expect(ours.length).toBeGreaterThan(10);
    for (const name of ours) expect(readme).toContain(`\`${name}`);
  });
});
