/** A real Mosquitto in a process of its own, with the rules that docs/mqtt.md promises devices. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, copyFileSync, renameSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { connectAsync } from 'mqtt';
import { eventually } from '../eventually.js';
import { freePort } from '../free-port.js';
import { findMosquitto } from './mosquitto-binary.js';

export interface Mosquitto extends AsyncDisposable {
  readonly url: string;
  /** User and password of the bridges. */
  readonly bridge: { readonly username: string; readonly password: string };
  /** Lets devices in (user name and client id are the device's) with this password, and has them keep to their topics. */
  allow(devices: readonly { readonly tenant: string; readonly deviceId: string }[], password: string): void;
  /** Ends it in good order: it writes down what it has. Resolves when it is gone. */
  stop(): Promise<void>;
  /** Starts it again on the same port; sessions and messages that it had written down are there. */
  restart(): Promise<void>;
}

const bridge = { username: 'fleetgraph-bridge', password: 'bridge-secret' };

/** @param options.open lets anybody do anything, for measurements; `unlimited` sends more than a client's receive maximum. */
export async function startMosquitto(
  options: { readonly open?: boolean; readonly unlimited?: boolean } = {},
): Promise<Mosquitto> {
  const binary = findMosquitto();
  if (binary === undefined) throw new Error('There is no Mosquitto: ask hasMosquitto first.');
  const directory = await mkdtemp(join(tmpdir(), 'fleetgraph-mosquitto-'));
  // As root it changes to a user of its own, who must be able to write.
  chmodSync(directory, 0o777);
  const port = await freePort();
  const file = (name: string): string => join(directory, name);
  const passwords = join(dirname(binary), '..', 'bin', 'mosquitto_passwd');
  const allowed: string[] = [];

  // Files are replaced, not written into: it may be reading them for the change before.
  const addPassword = (username: string, password: string): void => {
    copyFileSync(file('passwords'), file('passwords.new'));
    execFileSync(passwords, ['-b', file('passwords.new'), username, password], { stdio: 'pipe' });
    chmodSync(file('passwords.new'), 0o644);
    renameSync(file('passwords.new'), file('passwords'));
  };
  const writeAcl = (): void => {
    writeFileSync(
      file('acl.new'),
      [
        `user ${bridge.username}`,
        'topic read fleet/#',
        'topic write fleet/+/+/command',
        'topic write fleet/+/+/desired',
        'topic write fleet/+/+/delta',
        'topic read $SYS/brokers/#',
        ...allowed,
      ].join('\n'),
      { mode: 0o644 },
    );
    renameSync(file('acl.new'), file('acl'));
  };
  writeFileSync(file('passwords'), '');
  addPassword(bridge.username, bridge.password);
  writeAcl();
  writeFileSync(
    file('mosquitto.conf'),
    [
      `listener ${port} 127.0.0.1`,
      ...(options.open === true
        ? ['allow_anonymous true']
        : ['allow_anonymous false', `password_file ${file('passwords')}`, `acl_file ${file('acl')}`]),
      'persistence true',
      `persistence_location ${directory}/`,
      // Unlimited would not be limited by the receive maximum of a client either.
      `max_inflight_messages ${options.unlimited === true ? 0 : 5_000}`,
      'max_queued_messages 0',
      'log_type none',
    ].join('\n'),
  );

  let child: ChildProcess;
  let exited: Promise<void>;
  const start = async (): Promise<void> => {
    child = spawn(binary, ['-c', file('mosquitto.conf')], { stdio: 'ignore' });
    exited = new Promise((resolve) => child.once('exit', () => resolve()));
    await eventually(async () => {
      const client = await connectAsync(url, { ...bridge, reconnectPeriod: 0, connectTimeout: 2_000 });
      await client.endAsync(true);
    });
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    await exited;
  };
  const url = `mqtt://127.0.0.1:${port}`;
  await start();
  return {
    url,
    bridge,
    allow(devices, password) {
      for (const { tenant, deviceId } of devices) {
        addPassword(deviceId, password);
        const own = `fleet/${tenant}/${deviceId}`;
        allowed.push(
          `user ${deviceId}`,
          ...['telemetry', 'state', 'event', 'presence', 'command/ack'].map(
            (channel) => `topic write ${own}/${channel}`,
          ),
          ...['command', 'desired', 'delta'].map((channel) => `topic read ${own}/${channel}`),
        );
      }
      writeAcl();
      // It reads its files again.
      child.kill('SIGHUP');
    },
    stop: () => end('SIGTERM'),
    restart: start,
    async [Symbol.asyncDispose]() {
      await end('SIGKILL');
      await rm(directory, { recursive: true, force: true });
    },
  };
}
