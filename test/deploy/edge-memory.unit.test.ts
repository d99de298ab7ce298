/** Traefik's memory, in compose and on ECS, against what its limits let in. docs/edge.md has the same arithmetic for people. */
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { read } from '../docs/repository.js';
import { compose, serviceOf } from './deploy-world.js';
import { container, environmentOf, resource } from './ecs-world.js';

interface Routes {
  readonly http: {
    readonly routers: Readonly<Record<string, { readonly middlewares: readonly string[] }>>;
    readonly middlewares: Readonly<
      Record<
        string,
        Readonly<Record<string, Readonly<Record<string, unknown>>>> & { chain?: { middlewares: string[] } }
      >
    >;
  };
}

const text = read('deploy/traefik/dynamic.yml');
const { routers, middlewares } = (parse(text) as Routes).http;
const numberOf = (name: string): number => Number(new RegExp(`\\$${name} := (\\d+) `).exec(text)?.[1]);
const expand = (names: readonly string[]): readonly string[] =>
  names.flatMap((name) => (middlewares[name]?.chain ? expand(middlewares[name].chain.middlewares) : [name]));

const MiB = 1_048_576;
/** Measured: test/edge/bodies.int.test.ts holds it below this. Its gzip encoder is the larger part. */
const requestMiB = 1;
/** Measured: of an open WebSocket, in both directions, with headroom. */
const socketMiB = 0.12;
/** Measured: without requests. */
const idleMiB = 80;

/** Each router makes its own of every middleware, so each has a count of its own. */
const routes = Object.values(routers).filter(({ middlewares: names }) => expand(names).includes('body-limit'));
const neededMiB =
  idleMiB + routes.length * numberOf('inFlightOfAll') * requestMiB + Math.ceil(numberOf('sockets') * socketMiB);

test('what the arithmetic goes by is what the routes have', () => {
  expect(routes).toHaveLength(3);
  for (const { middlewares: names } of routes) {
    const order = expand(names);
    expect(order.indexOf('no-forged-identity')).toBe(0);
    expect(order.indexOf('in-flight-of-all')).toBeGreaterThan(0);
    expect(order.indexOf('in-flight-of-all')).toBeLessThan(order.indexOf('body-limit'));
    expect(order.indexOf('in-flight-of-all')).toBeLessThan(order.indexOf('compress'));
  }
  const held = '{{ $memoryBytes }}';
  expect(middlewares['body-limit']?.['buffering']).toMatchObject({
    memRequestBodyBytes: held,
    memResponseBodyBytes: held,
  });
  expect(middlewares['ask-again']?.['retry']).toMatchObject({ maxRequestBodyBytes: held });
  expect(middlewares['compress']?.['compress']).toMatchObject({ encodings: ['gzip'] });
  // Copies: the body, what of it may be sent again, and an answer in a buffer that doubles. The rest is for the encoder.
  expect(numberOf('memoryBytes') * (1.25 + 1 + 2)).toBeLessThan((requestMiB * MiB) / 2);
});

test('nobody alone, and no address, can take all of a route', () => {
  expect(middlewares['in-flight-of-address']?.['inFlightReq']).toMatchObject({ amount: '{{ mul $inFlight 2 }}' });
  expect(2 * numberOf('inFlight')).toBeLessThan(numberOf('inFlightOfAll'));
});

test('all that counts as one goes by a header that nobody can have', () => {
  const { requestHeaderName } = (
    middlewares['in-flight-of-all']?.['inFlightReq'] as { sourceCriterion: { requestHeaderName: string } }
  ).sourceCriterion;
  expect(middlewares['no-forged-identity']?.['headers']?.['customRequestHeaders']).toHaveProperty(
    requestHeaderName,
    '',
  );
  expect(middlewares['verified']?.['forwardAuth']?.['authResponseHeaders']).not.toContain(requestHeaderName);
});

const traefik = serviceOf('traefik');
const onEcs = container('traefik');
const mib = (limit: string | undefined): number => {
  const [, amount, unit] = /^(\d+)(M|MiB|G)$/.exec(limit ?? '') ?? [];
  return Number(amount) * (unit === 'G' ? 1_024 : 1);
};

describe.each([
  ['compose', mib(traefik.deploy?.resources.limits.memory), String(traefik.environment?.['GOMEMLIMIT'])],
  ['ECS', onEcs.Memory, environmentOf(onEcs)['GOMEMLIMIT']],
])('%s', (_where, limitMiB, goLimit) => {
  test('Traefik has the memory for all requests and sockets that it lets in, and collects its garbage before that', () => {
    expect(neededMiB).toBeLessThanOrEqual(mib(goLimit));
    // Go's limit is soft, and stacks of the system are not in it.
    expect(mib(goLimit)).toBeLessThanOrEqual(limitMiB * 0.95);
  });
});

test('what is not held in memory goes to a disk', () => {
  const volume = traefik.volumes?.find((entry) => entry.endsWith(':/tmp'))?.split(':')[0] ?? '';
  expect(compose().volumes).toHaveProperty(volume);
  expect(traefik.tmpfs ?? []).toEqual([]);
  const mount = onEcs.MountPoints?.find(({ ContainerPath }) => ContainerPath === '/tmp');
  expect(mount?.ReadOnly ?? false).toBe(false);
  expect(resource('Task')['Volumes']).toContainEqual({ Name: mount?.SourceVolume });
});

test('the manual has the same arithmetic', () => {
  const manual = read('docs/edge.md').replaceAll(/\s+/g, ' ');
  expect(manual).toContain(
    `${idleMiB} MiB + ${routes.length} routes × ${numberOf('inFlightOfAll')} × ${requestMiB} MiB + ${numberOf('sockets').toLocaleString('en')} × ${socketMiB} MiB = ${neededMiB} MiB`,
  );
  expect(manual).toContain(`\`GOMEMLIMIT\` is ${mib(environmentOf(onEcs)['GOMEMLIMIT'])} MiB`);
});
