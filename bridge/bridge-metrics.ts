import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

export type BridgeMetrics = ReturnType<typeof createBridgeMetrics>;

export function createBridgeMetrics(registry: Registry) {
  const registers = [registry];
  return {
    messages: new Counter({
      name: 'fleetgraph_bridge_messages_total',
      help: 'Messages of devices by channel, accepted or not.',
      labelNames: ['channel'],
      registers,
    }),
    ingestedLines: new Counter({
      name: 'fleetgraph_bridge_ingest_lines_total',
      help: 'Lines of HTTP ingest by result.',
      labelNames: ['result'],
      registers,
    }),
    durableSeconds: new Histogram({
      name: 'fleetgraph_bridge_durable_seconds',
      help: 'From the receipt of a message until it is durable on the bus.',
      buckets: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2, 10],
      registers,
    }),
    connected: new Gauge({
      name: 'fleetgraph_bridge_connected_devices',
      help: 'Devices connected over MQTT.',
      registers,
    }),
    logins: new Counter({
      name: 'fleetgraph_bridge_logins_total',
      help: 'Connection attempts of devices by result.',
      labelNames: ['result'],
      registers,
    }),
    told: new Counter({
      name: 'fleetgraph_bridge_told_total',
      help: 'Messages of rules to devices, by whether the device listened.',
      labelNames: ['result'],
      registers,
    }),
    commands: new Counter({
      name: 'fleetgraph_bridge_commands_total',
      help: 'Commands by what became of them here.',
      labelNames: ['result'],
      registers,
    }),
  };
}
