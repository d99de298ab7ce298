/** docker-compose.yml against the code that it runs. */
import { describe, expect, test } from 'vitest';
import { readConfig, roleNames } from '../../platform/config/config.js';
import { settings } from '../../platform/config/settings.js';
import { exists, files, read } from '../docs/repository.js';
import {
  compose,
  composeFiles,
  exampleVariables,
  interpolated,
  roleServices,
  serviceOf,
  type Service,
} from './deploy-world.js';

const services = Object.entries(compose().services);
const nameOf = (port: string) => port.replace(/\$\{\w+:-(\d+)\}/g, '$1');

/** What a role's settings mean when compose fills in its defaults and these secrets. */
function configOf(service: Service) {
  const value = (text: string) =>
    text.replaceAll(/\$\{\w+:([-?])([^}]*)\}/g, (_all, kind: string, word: string) =>
      kind === '?' ? 'secret-of-24-characters' : word,
    );
  const environment = Object.entries(service.environment ?? {});
  return readConfig(Object.fromEntries(environment.map(([name, given]) => [name, value(String(given))])));
}

test('every role runs in exactly one service, alone', () => {
  expect(roleServices().flatMap(({ roles }) => roles)).toEqual(expect.arrayContaining([...roleNames]));
  expect(roleServices().map(({ name, roles }) => [name, roles])).toEqual(
    roleServices().map(({ name }) => [name, [name]]),
  );
  expect(roleServices()).toHaveLength(roleNames.length);
});

describe.each(roleServices())('$name', ({ service }) => {
  test('has only settings that the program knows, and they are valid together', () => {
    expect(Object.keys(service.environment ?? {}).filter((name) => !(name in settings))).toEqual([]);
    const config = configOf(service);
    expect(config.database.url).toContain('@postgres:5432/');
    expect(config.kafka?.brokers).toEqual(['redpanda:9092']);
  });

  test('is drained before it is killed', () => {
    const graceMs = Number(/^(\d+)s$/.exec(service.stop_grace_period ?? '')?.[1]) * 1_000;
    expect(graceMs).toBeGreaterThan(configOf(service).shutdownTimeoutMs);
  });

  test('may not write, gain privileges, or use a capability', () => {
    expect(service.read_only).toBe(true);
    expect(service.cap_drop).toEqual(['ALL']);
  });

  test('starts when PostgreSQL and Redpanda are healthy', () => {
    expect(service.depends_on).toMatchObject({
      postgres: { condition: 'service_healthy' },
      redpanda: { condition: 'service_healthy' },
    });
  });
});

test('every service restarts, gains no privileges, and has limits and a health check', () => {
  for (const [name, service] of services) {
    expect(service.restart, name).toBe('unless-stopped');
    expect(service.security_opt, name).toEqual(['no-new-privileges:true']);
    expect(service.deploy?.resources.limits, name).toMatchObject({
      cpus: expect.anything() as string,
      memory: expect.anything() as string,
    });
    // The image of fleetgraph has its own; Redpanda's console is nothing that another service waits for.
    if (!service.image.startsWith('fleetgraph:') && name !== 'console')
      expect(service.healthcheck?.test.length, name).toBeGreaterThan(1);
  }
});

test('the health check of the image asks for a path that every process serves', () => {
  expect(read('Dockerfile')).toContain('CMD ["node", "/app/deploy/ready.mjs"]');
  const path = /\/readyz/.exec(read('deploy/ready.mjs'))?.[0];
  expect(read('platform/http/service.ts')).toContain(`app.get('${path}'`);
});

test('images are pinned to a version', () => {
  for (const [name, { image }] of services) expect(image, name).toMatch(/:v?\d+\.\d+(\.\d+)?(-[a-z]+)?$/);
  expect([...read('Dockerfile').matchAll(/^FROM (\S+)/gm)].map(([, image]) => image)).toEqual(
    Array(2).fill(expect.stringMatching(/^node:20\.\d+\.\d+-[a-z]+-slim$/)),
  );
});

test('Traefik is of the version that the tests build and run', () => {
  const version = /traefik\/traefik\/v3 (v[\d.]+)/.exec(read('test/world/traefik/go.mod'))?.[1];
  expect(serviceOf('traefik').image).toBe(`traefik:${version}`);
});

test('only HTTP and MQTT are open to other machines', () => {
  const published = services.flatMap(([name, { ports = [] }]) => ports.map((port) => `${name} ${nameOf(port)}`));
  expect(published.filter((port) => !port.includes('127.0.0.1:')).sort()).toEqual(['emqx 1883:1883', 'traefik 80:80']);
  const native = Object.values(compose('docker-compose.infra.yml').services).flatMap(({ ports = [] }) => ports);
  expect(native.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
});

test('Traefik and EMQX reach neither PostgreSQL nor Redpanda', () => {
  const on = (network: string) =>
    services.filter(([, { networks = [] }]) => networks.includes(network)).map(([name]) => name);
  expect(on('edge').sort()).toEqual(['bridge', 'device', 'emqx', 'gateway', 'traefik']);
  expect(on('backbone')).not.toContain('traefik');
  expect(on('backbone')).not.toContain('emqx');
});

test('what is mounted is there: files of the repository, and volumes that are declared', () => {
  for (const [name, { volumes = [] }] of services)
    for (const volume of volumes) {
      const [source = ''] = volume.split(':');
      // Those of Traefik and EMQX: edge-files.unit.test.ts.
      if (/^\.\/deploy\/(traefik|emqx)\//.test(source)) continue;
      if (source.startsWith('./')) expect(exists(source), `${name}: ${source}`).toBe(true);
      else expect(Object.keys(compose().volumes ?? {}), name).toContain(source);
    }
});

test('the URLs between services name a service and its port', () => {
  const config = configOf(serviceOf('gateway'));
  const portOf = (role: 'device' | 'actions' | 'query') => configOf(serviceOf(role)).ports[role];
  expect(config.subgraphUrls).toEqual({
    device: `http://device:${portOf('device')}/graphql`,
    actions: `http://actions:${portOf('actions')}/graphql`,
    query: `http://query:${portOf('query')}/graphql`,
  });
  expect(configOf(serviceOf('query')).identity.jwksUrl).toBe(`http://gateway:${config.ports.gateway}/auth/jwks.json`);
  expect(read('gateway/auth-routes.ts')).toContain("'/auth/jwks.json'");
});

test('in production the gateway is no issuer', () => {
  const environment = serviceOf('gateway').environment ?? {};
  expect(environment['JWKS_URL']).toBe('${JWKS_URL:-}');
});

test('a bridge keeps its name, for the broker keeps its messages under it', () => {
  expect(serviceOf('bridge').environment?.['FLEETGRAPH_INSTANCE']).toBe('bridge-1');
});

test('PostgreSQL has connections for every process, and as many again for scaling', () => {
  const most = Number(/^max_connections = (\d+)$/m.exec(read('deploy/postgres/postgresql.conf'))?.[1]);
  const used = roleServices().map(({ service }) => 3 * configOf(service).database.poolSize + 2);
  expect(used.reduce((sum, count) => sum + count, 0)).toBeLessThan(most * 0.75);
  expect(read('deploy/postgres/postgresql.conf')).not.toMatch(/^(fsync|synchronous_commit|full_page_writes) *=/m);
});

describe('.env.example', () => {
  const texts = composeFiles.map((path) => read(path).replaceAll(/^ *#.*$/gm, ''));
  const asked = new Set(texts.flatMap(interpolated));

  test('has every variable that the compose files ask for, and no other', () => {
    expect([...exampleVariables().keys()].filter((name) => name !== 'COMPOSE_PROFILES').sort()).toEqual(
      [...asked].sort(),
    );
  });

  test('has no secret, and compose says what to do about those that are missing', () => {
    const required = [
      ...new Set(texts.flatMap((text) => [...text.matchAll(/\$\{(\w+):\?([^}]*)\}/g)].map(([, name]) => name ?? ''))),
    ];
    expect(required.length).toBeGreaterThan(3);
    expect(required.filter((name) => exampleVariables().get(name) !== '')).toEqual([]);
    for (const text of texts)
      for (const [, , message] of text.matchAll(/\$\{(\w+):\?([^}]*)\}/g)) expect(message).toContain('.env.example');
  });

  test('gives the defaults that compose would take', () => {
    for (const text of texts)
      for (const [, name = '', value = ''] of text.matchAll(/\$\{(\w+):-([^}]*)\}/g)) {
        const example = exampleVariables().get(name);
        if (example !== '') expect(value, name).toBe(example);
      }
  });
});

test('secrets, history, and installed packages stay out of the image', () => {
  const ignored = read('.dockerignore').split('\n');
  expect(ignored).toEqual(expect.arrayContaining(['.git', '.env', '.env.*', '**/node_modules', '.fleetgraph']));
  expect(files().filter((path) => /(^|\/)\.env$|\.(pem|key)$/.test(path))).toEqual([]);
});

test('the durable file takes away what makes Redpanda forget', () => {
  const command = compose('docker-compose.durable.yml').services['redpanda']?.command ?? [];
  expect(command.slice(0, 2)).toEqual(['redpanda', 'start']);
  expect(command.join(' ')).not.toMatch(/--mode|unsafe-bypass-fsync|write_caching/);
  const listeners = (flags: readonly string[]) => flags.filter((flag) => /^--(advertise-)?(kafka|rpc)-addr/.test(flag));
  expect(listeners(command)).toEqual(listeners(serviceOf('redpanda').command ?? []));
});
