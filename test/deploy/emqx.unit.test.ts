/** The configuration of EMQX against the code that it works with. EMQX itself does not run here. */
import { expect, test } from 'vitest';
import { bridgeRules } from '../../backbone/devices/bridge-topics.js';
import { readConfig } from '../../platform/config/config.js';
import { certificateZone } from '../../subgraphs/device/broker-access/authenticate.js';
import { read } from '../docs/repository.js';
import { serviceOf } from './deploy-world.js';
import { at, parseHocon, textAt, type Hocon } from './hocon.js';

const main = parseHocon(read('deploy/emqx/emqx.conf'));
const tls = parseHocon(read('deploy/emqx/base.hocon'));
const settings = readConfig({ NODE_ENV: 'test' });

const bytesOf = (text: string): number => {
  const match = /^(\d+)(KB|MB|G)$/.exec(text);
  return Number(match?.[1]) * { KB: 1_024, MB: 1_024 ** 2, G: 1_024 ** 3 }[match?.[2] as 'KB'];
};
const listenersOf = (file: Hocon): readonly (readonly [string, Hocon])[] =>
  Object.entries(at(file, 'listeners')).flatMap(([kind, named]) =>
    Object.entries(named as Record<string, Hocon>).map(([name, listener]) => [`${kind}.${name}`, listener] as const),
  );

test('nobody gets in but by the device role, and nothing is allowed but by it', () => {
  expect(at(main, 'authentication')).toHaveLength(1);
  expect(at(main, 'authentication.0')).toMatchObject({ enable: 'true', backend: 'http', method: 'post' });
  expect(at(main, 'authorization.no_match')).toBe('deny');
  expect(at(main, 'authorization.sources')).toHaveLength(1);
  expect(at(main, 'authorization.sources.0')).toMatchObject({ enable: 'true', type: 'http', method: 'post' });
  // Without start.sh the device role refuses the broker.
  expect(textAt(main, 'authentication.0.headers.authorization')).toBe('Bearer not-set');
});

test('the broker waits for longer than the device role takes to say that it can not tell', () => {
  for (const path of ['authentication.0', 'authorization.sources.0'])
    expect(Number(textAt(main, `${path}.request_timeout`).replace('s', '')) * 1_000).toBeGreaterThan(3_000);
});

test('only the listener of 1883 is open without the files of TLS, and the dashboard to its own container alone', () => {
  const open = listenersOf(main).filter(([, listener]) => (listener as { enable?: string }).enable !== 'false');
  expect(open.map(([name]) => name)).toEqual(['tcp.default']);
  expect(listenersOf(main).map(([name]) => name)).toEqual(
    expect.arrayContaining(['ssl.default', 'ws.default', 'wss.default']),
  );
  expect(at(main, 'dashboard.listeners.http.bind')).toBe('127.0.0.1:18083');
});

test('a certificate counts only where it has been verified', () => {
  const listeners = [...listenersOf(main), ...listenersOf(tls)];
  const zoned = listeners.filter(([, listener]) => 'zone' in (listener as object));
  expect(zoned.map(([name]) => name)).toEqual(['ssl.certificates']);
  expect(zoned[0]?.[1]).toMatchObject({
    zone: certificateZone,
    ssl_options: { verify: 'verify_peer', fail_if_no_peer_cert: 'true' },
  });
  expect(at(main, 'authentication.0.body.zone')).toBe('${zone}');
  // From a proxy a common name would come that this broker has not verified.
  for (const [, listener] of listeners)
    expect((listener as { proxy_protocol?: string }).proxy_protocol ?? 'false').toBe('false');
});

test('messages as large as devices may send pass, and as many are on their way as a bridge takes', () => {
  const room = bytesOf(textAt(main, 'mqtt.max_packet_size')) - settings.telemetry.maxPayloadBytes;
  expect(room).toBeGreaterThanOrEqual(4_096);
  expect(Number(textAt(main, 'mqtt.max_inflight'))).toBeGreaterThanOrEqual(settings.mqtt.receiveMaximum);
});

test('the queues hold ten minutes at 500 messages a second, in the memory that compose gives', () => {
  const queue = Number(textAt(main, 'mqtt.max_mqueue_len'));
  const messages = queue * settings.mqtt.connections;
  expect(messages).toBeGreaterThanOrEqual(1.25 * 500 * 600);
  expect(messages * 1_500).toBeLessThan(0.75 * bytesOf(serviceOf('emqx').deploy?.resources?.limits?.memory ?? ''));
  // No session is ended for what it holds.
  expect(bytesOf(textAt(main, 'force_shutdown.max_heap_size'))).toBeGreaterThan(2 * queue * 1_500);
  expect(Number(textAt(main, 'force_shutdown.max_mailbox_size'))).toBeGreaterThan(queue);
});

test('a device keeps its order, and the bridge is told what it listens to', () => {
  expect(at(main, 'mqtt.shared_subscription_strategy')).toBe('hash_clientid');
  for (const { topic } of bridgeRules.filter((rule) => rule.topic.startsWith('$SYS/')))
    expect(at(main, `sys_topics.sys_event_messages.client_${topic.split('/').at(-1) ?? ''}`)).toBe('true');
});
