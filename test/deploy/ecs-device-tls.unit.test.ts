/** Devices with certificates on ECS: what EMQX is given, who else has it, and which port leads there. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { read, root } from '../docs/repository.js';
import { container, containers, resource, template } from './ecs-world.js';
import { at, parseHocon, textAt } from './hocon.js';

const listener = at(parseHocon(read('deploy/emqx/base.hocon')), 'listeners.ssl');
const withTls = { deviceTls: true };

/** What the script that brings the files leaves behind, when it runs with these variables. */
function configured(variables: Readonly<Record<string, string>>): {
  read(path: string): string | undefined;
  mode(path: string): number;
  [Symbol.dispose](): void;
} {
  const folder = mkdtempSync(join(tmpdir(), 'fleetgraph-ecs-'));
  for (const name of ['configuration', 'traefik', 'certificates']) mkdirSync(join(folder, name));
  const { EntryPoint = [], Command = [] } = container('configuration', withTls);
  const script = (Command[0] ?? '')
    .replaceAll('/app/', root.replace(/\/?$/, '/'))
    .replaceAll('/etc/traefik', join(folder, 'traefik'))
    .replaceAll(/ (\/configuration|\/certificates)/g, ` ${folder}$1`)
    // Only root may give files away.
    .replaceAll('chown', process.getuid?.() === 0 ? 'chown' : ': chown');
  const [shell = '', ...flags] = EntryPoint;
  execFileSync(shell, [...flags, script], { env: { PATH: process.env['PATH'], ...variables }, stdio: 'pipe' });
  return {
    read(path) {
      try {
        return readFileSync(join(folder, path), 'utf8');
      } catch {
        return undefined;
      }
    },
    mode: (path) => statSync(join(folder, path)).mode & 0o777,
    [Symbol.dispose]: () => rmSync(folder, { recursive: true }),
  };
}

test('the files that EMQX copies are those that are brought to it, and the listeners only come with certificates', () => {
  using files = configured({ DATABASE_CA: 'ca' });
  const copied = (deviceTls: boolean) =>
    [...(container('emqx', { deviceTls }).Command?.[0] ?? '').matchAll(/\/configuration\/(\S+)/g)].map(
      ([, name = '']) => name,
    );
  expect(copied(false)).toEqual(['emqx.conf', 'start.sh']);
  expect(copied(true)).toEqual(['emqx.conf', 'base.hocon', 'start.sh']);
  for (const name of copied(true)) expect(files.read(`configuration/${name}`), name).toBe(read(`deploy/emqx/${name}`));
  expect(files.read('configuration/database-ca.pem')).toBe('ca\n');
});

test('the certificates lie where the listeners look for them, and nobody else may read the key', () => {
  const pem = { CERTIFICATE: 'the certificate\nin lines', KEY: 'the key', AUTHORITY: 'the authority' };
  using files = configured({
    DATABASE_CA: 'ca',
    ...Object.fromEntries(Object.entries(pem).map(([name, text]) => [`DEVICE_TLS_${name}`, text])),
  });
  const mount = container('emqx', withTls).MountPoints?.find(({ SourceVolume }) => SourceVolume === 'certificates');
  expect(mount).toMatchObject({ ContainerPath: '/opt/emqx/etc/certificates', ReadOnly: true });
  const found = (option: string) => {
    const path = textAt(listener, `certificates.ssl_options.${option}`);
    expect(path.startsWith(`${mount?.ContainerPath ?? ''}/`)).toBe(true);
    return files.read(path.replace('/opt/emqx/etc/', ''));
  };
  expect([found('certfile'), found('keyfile'), found('cacertfile')]).toEqual([
    `${pem.CERTIFICATE}\n`,
    `${pem.KEY}\n`,
    `${pem.AUTHORITY}\n`,
  ]);
  expect(files.mode('certificates/server.key')).toBe(0o600);
  const holders = containers(withTls).filter(({ MountPoints = [] }) =>
    MountPoints.some(({ SourceVolume }) => SourceVolume === 'certificates'),
  );
  expect(holders.map(({ Name }) => Name).sort()).toEqual(['configuration', 'emqx']);
});

test('without certificates none is written and no port is open for them', () => {
  using files = configured({ DATABASE_CA: 'ca' });
  expect(files.read('certificates/server.key')).toBeUndefined();
  expect(container('configuration').Secrets?.map(({ Name }) => Name)).toEqual(['DATABASE_CA']);
  const ports = [
    ...containers().map(({ PortMappings = [] }) => PortMappings),
    ...['MqttSecurityGroup', 'TaskSecurityGroup', 'Service'].map((name) => resource(name)),
  ];
  expect(JSON.stringify(ports)).toContain('1883');
  expect(JSON.stringify(ports)).not.toContain('8884');
  for (const name of ['MqttCertificateTargets', 'MqttCertificateListener'])
    expect(template.Resources[name]).toMatchObject({ Condition: 'DeviceTls' });
});

test('the load balancer leads the port of the verified listener to EMQX without ending its TLS', () => {
  const port = Number(textAt(listener, 'certificates.bind'));
  expect(resource('MqttCertificateListener')).toMatchObject({ Port: port, Protocol: 'TCP' });
  expect(resource('MqttCertificateTargets')).toMatchObject({ Port: port, Protocol: 'TCP' });
  expect(container('emqx', withTls).PortMappings?.map(({ ContainerPort }) => ContainerPort)).toEqual([1883, port]);
  expect(resource('Service', withTls)['LoadBalancers']).toContainEqual({
    ContainerName: 'emqx',
    ContainerPort: port,
    TargetGroupArn: { Ref: 'MqttCertificateTargets' },
  });
  for (const name of ['MqttSecurityGroup', 'TaskSecurityGroup'])
    expect(resource(name, withTls)['SecurityGroupIngress']).toContainEqual(
      expect.objectContaining({ FromPort: port, ToPort: port }),
    );
});

test('the secret of the certificates may be read by who starts the task', () => {
  const [policy] = resource('ExecutionRole', withTls)['Policies'] as readonly {
    PolicyDocument: { Statement: readonly { Action: unknown; Resource: unknown }[] };
  }[];
  const secrets = policy?.PolicyDocument.Statement.find(({ Action }) => Action === 'secretsmanager:GetSecretValue');
  expect(secrets?.Resource).toContainEqual({ Ref: 'DeviceTlsSecretArn' });
});
