/**
 * Servers that are not in npm: found where they are, or made ready by `test/prepare.ts` before the tests run. Where one is
 * missing its tests are skipped, loudly; with REQUIRE_REAL_SERVERS=true, as in .ci/run, that is a failure.
 */
import { homedir } from 'node:os';
import { join } from 'node:path';

export const realServersRequired = process.env['REQUIRE_REAL_SERVERS'] === 'true';

/** Where what took long to make is kept between runs. */
export function cacheDirectory(name: string): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'fleetgraph', name);
}

/**
 * Whether the tests that need a server can run. Says what is skipped, and what to install.
 * @throws when it is missing and must not be.
 */
export function hasServer(found: unknown, what: string, advice: string): boolean {
  if (found !== undefined) return true;
  const message = `${what} is missing: ${advice}`;
  if (realServersRequired) throw new Error(`${message} (REQUIRE_REAL_SERVERS=true)`);
  process.stderr.write(`SKIPPED: ${message}\n`);
  return false;
}
