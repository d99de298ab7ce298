import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    globalSetup: ['test/world/global-postgres.ts'],
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Two cores: more files at once only make each other's deadlines late.
    maxWorkers: 2,
    pool: 'forks',
    reporters: ['default'],
  },
});
