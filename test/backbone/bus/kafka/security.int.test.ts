/** TLS and SASL: who gets in, who doesn't, and what they are told. */
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createKafkaBus, type KafkaBusOptions } from '../../../../backbone/bus/kafka/kafka-bus.js';
import { StartupError } from '../../../../platform/errors.js';
import { silentLog } from '../../../world/database.js';
import { eventually } from '../../../world/eventually.js';
import { freePort } from '../../../world/free-port.js';
import { hasOwnKafka, startKafka, type KafkaBroker } from '../../../world/kafka/kafka.js';
import { createRecorder, record } from '../contract.js';
import { kafkaSettings } from './kafka-settings.js';

describe.skipIf(!hasOwnKafka())('a broker that asks for TLS and SASL', () => {
  const directory = mkdtempSync(join(tmpdir(), 'fleetgraph-tls-'));
  const file = (name: string): string => join(directory, name);
  let broker: KafkaBroker;
  let address: string;

  beforeAll(async () => {
    makeCertificates(directory);
    const port = await freePort();
    address = `127.0.0.1:${port}`;
    const login = 'org.apache.kafka.common.security';
    broker = await startKafka({
      formatArguments: [
        ...['--add-scram', 'SCRAM-SHA-256=[name=scrammed,password=scram-secret]'],
        ...['--add-scram', 'SCRAM-SHA-512=[name=scrammed,password=scram-secret]'],
      ],
      properties: {
        listeners: `PLAINTEXT://{address},CLIENTS://${address},CONTROLLER://{controller}`,
        'advertised.listeners': `PLAINTEXT://{address},CLIENTS://${address}`,
        'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,CLIENTS:SASL_SSL',
        'inter.broker.listener.name': 'PLAINTEXT',
        'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
        'listener.name.clients.plain.sasl.jaas.config': `${login}.plain.PlainLoginModule required user_plain="plain-secret";`,
        'listener.name.clients.scram-sha-256.sasl.jaas.config': `${login}.scram.ScramLoginModule required;`,
        'listener.name.clients.scram-sha-512.sasl.jaas.config': `${login}.scram.ScramLoginModule required;`,
        'ssl.keystore.type': 'PKCS12',
        'ssl.keystore.location': file('broker.p12'),
        'ssl.keystore.password': 'changeit',
        'ssl.key.password': 'changeit',
      },
    });
  });
  afterAll(async () => {
    await broker[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true });
  });

  const open = (overrides: Partial<KafkaBusOptions['kafka']>) =>
    createKafkaBus({
      kafka: {
        ...kafkaSettings([address], `test-${randomUUID()}.`),
        tls: { caFile: file('ca.pem') },
        sasl: { mechanism: 'plain', username: 'plain', password: 'plain-secret' },
        ...overrides,
      },
      instance: 'test',
      log: silentLog,
      metrics: new Registry(),
      sessionTimeoutMs: 6_000,
    });
  const topic = { name: 'topic', partitions: 1, retentionMs: 3_600_000 };

  test.each([
    { mechanism: 'plain', username: 'plain', password: 'plain-secret' },
    { mechanism: 'scram-sha-256', username: 'scrammed', password: 'scram-secret' },
    { mechanism: 'scram-sha-512', username: 'scrammed', password: 'scram-secret' },
  ] as const)('lets in who has the password, by $mechanism: to publish and to consume', async (sasl) => {
    const bus = open({ sasl });
    await eventually(() => bus.ensureTopics([topic]), 60_000);
    await bus.publish(topic.name, [record('k', sasl.mechanism)]);
    const recorder = createRecorder();
    await bus.subscribe({ group: 'group', topics: [topic.name] }, recorder.handle);
    await eventually(() => expect(recorder.values()).toEqual([sasl.mechanism]));
    await bus.close();
  });

  test.each([
    ['a wrong password', { sasl: { mechanism: 'plain', username: 'plain', password: 'guessed' } }],
    ['a wrong password of SCRAM', { sasl: { mechanism: 'scram-sha-512', username: 'scrammed', password: 'guessed' } }],
    ['an authority that did not sign for the broker', { tls: { caFile: file('other.pem') } }],
    ['no TLS', { tls: undefined }],
  ] as const)('lets nobody in with %s, and says that it can not be asked', async (_what, overrides) => {
    const bus = open(overrides);
    await expect(bus.ensureTopics([topic])).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(bus.ready()).rejects.toThrow('the bus is away');
    await bus.close();
  });

  test('an authority that can not be read is a fault of the settings', () => {
    expect(() => open({ tls: { caFile: file('absent.pem') } })).toThrow(StartupError);
    expect(() => open({ tls: { caFile: file('absent.pem') } })).toThrow(/^KAFKA_CA_FILE can't be read/);
  });
});

/** A certificate authority (ca.pem), another one (other.pem), and a broker's key with a certificate for 127.0.0.1 (broker.p12). */
function makeCertificates(directory: string): void {
  const openssl = (...args: readonly string[]): void => {
    execFileSync('openssl', args, { cwd: directory, stdio: 'pipe' });
  };
  const authority = (name: string): void =>
    openssl(
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', `/CN=${name}`],
      ...['-keyout', `${name}.key`, '-out', `${name}.pem`],
    );
  authority('ca');
  authority('other');
  openssl(
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=127.0.0.1'],
    ...['-addext', 'subjectAltName=IP:127.0.0.1', '-CA', 'ca.pem', '-CAkey', 'ca.key'],
    ...['-keyout', 'broker.key', '-out', 'broker.pem'],
  );
  openssl(
    ...['pkcs12', '-export', '-in', 'broker.pem', '-inkey', 'broker.key', '-certfile', 'ca.pem'],
    ...['-passout', 'pass:changeit', '-out', 'broker.p12'],
  );
}
