/** One simulated boiler: an MQTT connection of its own, readings that look like a boiler's, commands obeyed. */
import { connectAsync, type MqttClient } from 'mqtt';
import type { SimulatedDevice } from './fleet.js';

export interface RunningDevice {
  /** Publishes one reading with QoS 1; resolves when the broker acknowledges it. */
  publish(): Promise<void>;
  /** Disconnects once nothing is in flight. */
  stop(): Promise<void>;
}

/** Connects as the device. @throws the broker's reason, e.g. "Not authorized". */
export async function connectDevice(options: {
  device: SimulatedDevice;
  tenant: string;
  url: string;
  onReconnect: () => void;
}): Promise<RunningDevice> {
  const { device, tenant, url } = options;
  const topic = (channel: string) => `fleet/${tenant}/${device.deviceId}/${channel}`;
  const client: MqttClient = await connectAsync(
    url,
    {
      clientId: device.clientId,
      username: device.username,
      password: device.password,
      protocolVersion: 4,
      reconnectPeriod: 1_000,
      connectTimeout: 15_000,
      will: { topic: topic('presence'), payload: Buffer.from('{"online":false}'), qos: 1, retain: false },
    },
    false,
  );
  client.on('reconnect', options.onReconnect);
  // A refused reconnect shows as 'close'; without a listener 'error' would end the process.
  client.on('error', () => undefined);
  const phase = Math.random() * 2 * Math.PI;
  let setpoint = 60 + Math.random() * 10;
  let running = true;
  const obey = (connection: MqttClient, ackTopic: string, payload: Buffer): void => {
    const command = JSON.parse(payload.toString()) as { id: string; name: string; parameters?: { celsius?: unknown } };
    if (command.name === 'setpoint' && typeof command.parameters?.celsius === 'number')
      setpoint = command.parameters.celsius;
    if (command.name === 'start' || command.name === 'stop') running = command.name === 'start';
    connection.publish(
      ackTopic,
      JSON.stringify({ id: command.id, status: 'SUCCEEDED', result: { setpoint, running } }),
      { qos: 1 },
    );
  };

  client.on('message', (from, payload) => {
    if (from === topic('command')) obey(client, topic('command/ack'), payload);
  });
  await client.subscribeAsync(topic('command'), { qos: 1 });

  return {
    async publish() {
      const wave = Math.sin(Date.now() / 20_000 + phase);
      const values = {
        temperature: round(setpoint + 3 * wave + Math.random()),
        pressure: round(1.5 + 0.2 * wave),
        running,
      };
      await client.publishAsync(topic('telemetry'), JSON.stringify({ ts: Date.now(), values }), { qos: 1 });
    },
    stop: () => client.endAsync(),
  };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
