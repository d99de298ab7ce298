import { createRequire } from 'node:module';
import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/longest-first.js';

export default defineConfig({
  // Node.js, and so Apollo, takes the CommonJS build of `graphql`, Vite the other; the two don't mix.
  resolve: { alias: [{ find: /^graphql$/, replacement: createRequire(import.meta.url).resolve('graphql') }] },
  test: {
    globalSetup: ['test/world/global-postgres.ts', 'test/world/kafka/global-kafka.ts', 'test/world/global-compiled.ts'],
    include: ['test/**/*.test.ts'],
    testTimeout: 90_000,
    hookTimeout: 120_000,
    // Two cores: more files at once only make each other's deadlines late.
    maxWorkers: 2,
    pool: 'forks',
    sequence: { sequencer: LongestFirst },
    reporters: ['default'],
  },
});
