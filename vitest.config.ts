import { defineConfig } from 'vitest/config';

/** One project per folder of tests; `npm test` runs them all and says which could not run here. */
const project = (name: string, include: string[], extra: Record<string, unknown> = {}) => ({
  test: {
    name,
    include,
    pool: 'forks' as const,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // What is polled comes within milliseconds, unless the machine has other work.
    expect: { poll: { timeout: 30_000, interval: 20 } },
    ...extra,
  },
});

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      project('repo', ['tests/*.test.ts', 'tests/{scripts,training}/**/*.test.ts']),
      project('shared', ['tests/shared/**/*.test.ts']),
      project('gpu-fn', ['tests/gpu-fn/**/*.test.ts']),
      project('edge', ['tests/edge/**/*.test.ts']),
      project('clients', ['tests/clients/**/*.test.ts']),
      project('promises', ['tests/promises/**/*.test.ts'], { fileParallelism: false }),
      project('e2e', ['tests/e2e/**/*.test.ts'], { fileParallelism: false }),
      project('page', ['tests/page/**/*.test.ts'], { fileParallelism: false }),
    ],
  },
});
