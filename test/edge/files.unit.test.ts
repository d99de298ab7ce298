/** The files of deploy/traefik against each other, and against what the tests of this folder try. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';

const folder = fileURLToPath(new URL('../../deploy/traefik/', import.meta.url));
const read = (name: string): unknown => parse(readFileSync(`${folder}${name}`, 'utf8'));

interface Dynamic {
  readonly http: {
    readonly routers: Readonly<
      Record<string, { rule: string; service: string; middlewares: string[]; entryPoints?: string[] }>
    >;
    readonly middlewares: Readonly<Record<string, { chain?: { middlewares: string[] } }>>;
    readonly services: Readonly<Record<string, unknown>>;
  };
}
interface Static {
  readonly entryPoints: Readonly<Record<string, { address: string; asDefault?: boolean }>>;
}

/** As it is before the template is filled in: its directives are in comments and strings. */
const { http } = read('dynamic.yml') as Dynamic;
const isPublic = ({ entryPoints }: { entryPoints?: string[] }): boolean => entryPoints === undefined;
const publicRouters = Object.entries(http.routers).filter(([, router]) => isPublic(router));

/** Middlewares in the order in which a request meets them. */
function unfold(names: readonly string[]): string[] {
  return names.flatMap((name) => {
    const middleware = http.middlewares[name];
    if (!middleware) throw new Error(`there is no middleware ${name}`);
    return middleware.chain ? unfold(middleware.chain.middlewares) : [name];
  });
}

describe('dynamic.yml', () => {
  test('has no public path but those that the tests of this folder try', () => {
    const paths = publicRouters.flatMap(([name, { rule }]) =>
      [...rule.matchAll(/(Path\w*)\(`([^`]*)`\)/g)].map(([, matcher, path]) => `${name}: ${matcher} ${path}`),
    );
    expect(paths.sort()).toEqual([
      'explorer: Path /explorer',
      'explorer: PathPrefix /explorer/',
      'graphql-preflight: Path /graphql',
      'graphql-socket: Path /graphql',
      'graphql-streams: Path /graphql',
      'graphql: Path /graphql',
      'ingest-device: PathPrefix /ingest/',
      'ingest: PathPrefix /ingest/',
    ]);
    // A rule without a path would match all of them.
    for (const [name, { rule }] of publicRouters) expect(rule, name).toMatch(/^\(?Path(Prefix)?\(`\/[a-z]+/);
    for (const [name, { rule }] of publicRouters) expect(rule, name).toMatch(/Method\(/);
  });

  test('lets in without ForwardAuth only what asks for credentials elsewhere or needs none', () => {
    const open = publicRouters.filter(([, { middlewares }]) => !unfold(middlewares).includes('verified'));
    expect(open.map(([name]) => name).sort()).toEqual([
      'explorer',
      'graphql-preflight',
      'graphql-socket',
      'ingest-device',
    ]);
  });

  test('takes a forged identity off every public request before anything else sees it', () => {
    for (const [name, { middlewares }] of publicRouters)
      expect(unfold(middlewares)[0], name).toBe('no-forged-identity');
  });

  test('counts requests of an identity only after it is verified, and those of an address before', () => {
    for (const [name, { middlewares }] of publicRouters) {
      const order = unfold(middlewares);
      expect(order, name).toContain('rate-of-address');
      const verified = order.indexOf('verified');
      if (verified < 0) continue;
      expect(order.indexOf('rate-of-address'), name).toBeLessThan(verified);
      // What streams is counted as the sockets are, and its body limited by the gateway.
      const isStream = name === 'graphql-streams';
      for (const later of ['rate-of-identity', ...(isStream ? [] : ['in-flight-of-identity', 'body-limit'])])
        expect(order.indexOf(later), `${name}: ${later}`).toBeGreaterThan(verified);
    }
  });

  test('buffers and compresses no socket and no stream, and limits how many an address may have', () => {
    for (const name of ['graphql-socket', 'graphql-streams']) {
      const middlewares = unfold(http.routers[name]?.middlewares ?? []);
      expect(middlewares).not.toContain('body-limit');
      expect(middlewares).not.toContain('compress');
      expect(middlewares).toContain('sockets-of-address');
    }
  });

  test('uses every middleware and service that it has, and has all that it uses', () => {
    const chains = Object.entries(http.middlewares).filter(([, { chain }]) => chain);
    const used = [
      ...Object.values(http.routers).flatMap(({ middlewares }) => middlewares),
      ...chains.flatMap(([, { chain }]) => chain?.middlewares ?? []),
    ];
    expect([...new Set(used)].sort()).toEqual(Object.keys(http.middlewares).sort());
    const services = Object.values(http.routers).map(({ service }) => service);
    expect([...new Set(services)].sort()).toEqual([...Object.keys(http.services), 'api@internal'].sort());
  });
});

describe('the static files', () => {
  const names = readdirSync(folder).filter((name) => name.startsWith('traefik.'));
  /** Without what is theirs: which entry point is public and whom it trusts, and where the routes are. */
  const common = (name: string): string =>
    readFileSync(`${folder}${name}`, 'utf8')
      .replace(/^(#.*\n)+/, '')
      .replace(/ {2}web:\n {4}address: ':80'\n {4}http:\n {6}redirections.*\n/, '')
      .replace("websecure:\n    address: ':443'", "web:\n    address: ':80'")
      .replace('      tls: {}\n', '')
      .replace(/ {4}#.*\n {4}forwardedHeaders: .*\n/, '')
      .replace(/file: \{.*\}/, '');

  test('differ in nothing else but whom they trust, TLS and where the routes are', () => {
    expect(names.sort()).toEqual(['traefik.behind-proxy.yml', 'traefik.tls.yml', 'traefik.yml']);
    for (const name of names) expect(common(name), name).toBe(common('traefik.yml'));
  });

  test('serve the routes on one entry point, and what is internal on the loopback', () => {
    for (const name of names) {
      const { entryPoints } = read(name) as Static;
      const defaults = Object.values(entryPoints).filter(({ asDefault }) => asDefault);
      expect(
        defaults.map(({ address }) => address),
        name,
      ).toEqual([name === 'traefik.tls.yml' ? ':443' : ':80']);
      expect(entryPoints['internal']?.address).toMatch(/^127\.0\.0\.1:/);
      expect(readFileSync(`${folder}dynamic.yml`, 'utf8')).toContain(
        `http://${entryPoints['internal']?.address}/auth/verify`,
      );
    }
  });
});
