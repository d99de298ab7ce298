/** The ECS template against the code, and against compose. */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { readConfig, roleNames } from '../../platform/config/config.js';
import { settings } from '../../platform/config/settings.js';
import { read, root } from '../docs/repository.js';
import { rolesOf, serviceOf } from './deploy-world.js';
import { container, containers, environmentOf, resource, roleContainers, template } from './ecs-world.js';

const configOf = (item: (typeof roles)[number]) => readConfig(environmentOf(item));
const roles = roleContainers();
const flags = (command: readonly string[] = []) =>
  new Map(
    command.filter((word) => word.startsWith('--')).map((word) => [word.split('=')[0] ?? '', word.split('=')[1] ?? '']),
  );

test('every role runs in exactly one container', () => {
  expect(roles.flatMap(({ Command = [] }) => rolesOf(Command)).sort()).toEqual([...roleNames].sort());
});

test('the task has no more containers than ECS allows, and room for an agent', () => {
  expect(containers().length).toBeLessThan(10);
});

test('the containers fit into the smallest task', () => {
  const memory = containers().reduce((sum, { Memory }) => sum + Memory, 0);
  const smallest = Math.min(...(template.Parameters['TaskMemory']?.AllowedValues ?? []).map(Number));
  expect(memory).toBeLessThanOrEqual(smallest);
});

test('the images are those of compose', () => {
  const others = containers().filter(({ Image }) => typeof Image === 'string');
  expect(others.map(({ Name }) => Name).sort()).toEqual(['emqx', 'redpanda', 'traefik']);
  for (const { Name, Image } of others) expect(Image).toBe(serviceOf(Name).image);
});

describe.each([true, false])('with a bus of its own: %s', (ownBus) => {
  test('every role has only settings that the program knows, valid together and in production', () => {
    for (const item of roleContainers({ ownBus })) {
      const environment = environmentOf(item);
      // Node.js itself reads the certificate authority of the database.
      expect(Object.keys(environment).filter((name) => !(name in settings) && name !== 'NODE_EXTRA_CA_CERTS')).toEqual(
        [],
      );
      const config = readConfig(environment);
      expect(config.mode).toBe('production');
      expect(config.identity.jwksUrl).toMatch(/^https:/);
      expect(config.kafka?.brokers).toEqual([ownBus ? '127.0.0.1:9092' : 'b-1.msk.internal:9096']);
      expect(config.kafka?.sasl?.mechanism).toBe(ownBus ? undefined : 'scram-sha-512');
      expect(config.kafka?.tls === undefined).toBe(ownBus);
    }
  });

  test('nothing waits for a container that is not there', () => {
    const names = containers({ ownBus }).map(({ Name }) => Name);
    expect(names.includes('redpanda')).toBe(ownBus);
    for (const { DependsOn = [] } of containers({ ownBus }))
      expect(names).toEqual(expect.arrayContaining(DependsOn.map(({ ContainerName }) => ContainerName)));
  });
});

test('what compose sets for a role, ECS sets for its container, the names of hosts aside', () => {
  const left = new Set(['LOG_LEVEL', 'BUS_RETENTION_HOURS']);
  for (const { Name, Command = [], ...item } of roles) {
    const given = environmentOf({ Name, ...item });
    for (const role of rolesOf(Command)) {
      const wanted = Object.keys(serviceOf(role).environment ?? {}).filter((name) => !left.has(name));
      expect(
        wanted.filter((name) => !(name in given)),
        role,
      ).toEqual([]);
    }
  }
});

test('no two listeners of the task want the same port', () => {
  const own = roles.flatMap((item) => {
    const { ports } = configOf(item);
    const of: Readonly<Record<string, readonly number[]>> = {
      device: [ports.device],
      actions: [ports.actions],
      query: [ports.query],
      gateway: [ports.gateway],
      bridge: [ports.bridge],
    };
    return [ports.operations, ...rolesOf(item.Command ?? []).flatMap((role) => of[role] ?? [])];
  });
  const redpanda = [...flags(container('redpanda').Command)].filter(([flag]) =>
    /^--(kafka|rpc|pandaproxy|schema-registry)-addr$/.test(flag),
  );
  expect(redpanda).toHaveLength(4);
  // 9644: Redpanda's admin API. 4370, 5370: between nodes of EMQX. 8088: Traefik's dashboard.
  const all = [
    ...own,
    ...redpanda.map(([, address]) => Number(address.split(':').at(-1))),
    9644,
    80,
    8088,
    1883,
    18083,
    4370,
    5370,
  ];
  expect(all.filter((port, index) => all.indexOf(port) !== index)).toEqual([]);
});

test('the gateway finds the subgraphs, the bridge the broker, and Traefik both, where they listen', () => {
  const gateway = roles.find(({ Name }) => Name === 'gateway');
  const subgraphs = roles.find(({ Name }) => Name === 'subgraphs');
  const bridge = roles.find(({ Name }) => Name === 'bridge');
  if (!gateway || !subgraphs || !bridge) throw new Error('a container is missing');
  const { device, actions, query } = configOf(subgraphs).ports;
  const url = (port: number) => `http://127.0.0.1:${port}/graphql`;
  expect(configOf(gateway).subgraphUrls).toEqual({ device: url(device), actions: url(actions), query: url(query) });
  expect(configOf(bridge).mqtt.url).toBe('mqtt://127.0.0.1:1883');
  expect(environmentOf(container('traefik'))).toMatchObject({
    GATEWAY_URLS: `http://127.0.0.1:${configOf(gateway).ports.gateway}`,
    BRIDGE_URLS: `http://127.0.0.1:${configOf(bridge).ports.bridge}`,
  });
});

test('the roles listen to this task alone; only Traefik and EMQX have ports that a load balancer leads to', () => {
  for (const item of roles) expect(configOf(item).host).toBe('127.0.0.1');
  for (const [, address] of [...flags(container('redpanda').Command)].filter(([flag]) => flag.endsWith('-addr')))
    expect(address).toMatch(/^(internal:\/\/)?127\.0\.0\.1:\d+$/);
  const open = containers().flatMap(({ Name, PortMappings = [] }) =>
    PortMappings.map((port) => [Name, port.ContainerPort]),
  );
  expect(open.sort()).toEqual([
    ['emqx', 1883],
    ['traefik', 80],
  ]);
  const ingress = resource('TaskSecurityGroup')['SecurityGroupIngress'] as readonly {
    FromPort: number;
    ToPort: number;
  }[];
  expect(ingress.map(({ FromPort, ToPort }) => [FromPort, ToPort])).toEqual([
    [80, 80],
    [1883, 1883],
  ]);
});

test('Redpanda acknowledges what is on the disk', () => {
  expect(container('redpanda').Command?.join(' ')).not.toMatch(/--mode|unsafe-bypass-fsync|write_caching/);
});

test('two tasks never have the same files: the old one stops before the new one starts', () => {
  expect(resource('Service')).toMatchObject({
    DesiredCount: 1,
    DeploymentConfiguration: { MinimumHealthyPercent: 0, MaximumPercent: 100 },
  });
});

test('every container that stays logs, is checked, and is drained before it is killed', () => {
  for (const item of containers()) {
    expect(item.LogConfiguration?.LogDriver, item.Name).toBe('awslogs');
    if (item.Essential === false) continue;
    expect(item.HealthCheck?.Command.length, item.Name).toBeGreaterThan(1);
    expect(item.StopTimeout ?? 0, item.Name).toBeLessThanOrEqual(120);
  }
  for (const item of roles) {
    expect((item.StopTimeout ?? 0) * 1_000, item.Name).toBeGreaterThan(configOf(item).shutdownTimeoutMs);
    expect(item.HealthCheck?.Command).toEqual(['CMD', 'node', '/app/deploy/ready.mjs']);
    expect(item.ReadonlyRootFilesystem, item.Name).toBe(true);
  }
  expect(read('Dockerfile')).toContain('/app/deploy/ready.mjs');
});

test('no secret stands in the template, and each container gets those that it needs', () => {
  const secretNames = /PASSWORD|SECRET|COOKIE|DATABASE_URL|KAFKA_USERNAME/;
  for (const { Name, Environment = [] } of containers({ ownBus: false }))
    expect(
      Environment.filter((variable) => secretNames.test(variable.Name)),
      Name,
    ).toEqual([]);
  const holders = (secret: string) =>
    containers()
      .filter(({ Secrets = [] }) => Secrets.some(({ Name }) => Name === secret))
      .map(({ Name }) => Name);
  expect(holders('MQTT_AUTH_SECRET').sort()).toEqual(['emqx', 'subgraphs']);
  expect(holders('MQTT_PASSWORD').sort()).toEqual(['bridge', 'subgraphs']);
  expect(holders('DATABASE_URL').sort()).toEqual(roles.map(({ Name }) => Name).sort());
});

test('what broker and bus keep is encrypted, at rest and on the way', () => {
  expect(resource('Files')['Encrypted']).toBe(true);
  const volumes = resource('Task')['Volumes'] as readonly { Name: string; EFSVolumeConfiguration?: object }[];
  for (const name of ['emqx', 'redpanda'])
    expect(volumes.find(({ Name }) => Name === name)?.EFSVolumeConfiguration).toMatchObject({
      TransitEncryption: 'ENABLED',
      AuthorizationConfig: { IAM: 'ENABLED' },
    });
  const mounted = containers().flatMap(({ MountPoints = [] }) => MountPoints.map(({ SourceVolume }) => SourceVolume));
  expect(volumes.map(({ Name }) => Name)).toEqual(expect.arrayContaining([...new Set(mounted)]));
});

const linter = spawnSync('cfn-lint', ['--version']).status === 0;
if (!linter) process.stderr.write('SKIPPED: the template for ECS was not linted: pip install cfn-lint.\n');

test.skipIf(!linter)('cfn-lint finds nothing in the template', () => {
  const { stdout, status } = spawnSync('cfn-lint', ['deploy/ecs/fleetgraph.yaml'], { cwd: root, encoding: 'utf8' });
  expect(stdout).toBe('');
  expect(status).toBe(0);
});

test('the template has no YAML aliases, which CloudFormation does not read', () => {
  expect(read('deploy/ecs/fleetgraph.yaml')).not.toMatch(/^[^#]*(: |- )[&*][\w-]+ *$/m);
});
