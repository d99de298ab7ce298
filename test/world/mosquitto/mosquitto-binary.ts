/** Mosquitto 2, an MQTT broker that is not ours: MOSQUITTO_BIN, or where packages put it. */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { hasServer } from '../real-servers.js';

/** Path of the program; undefined when there is none. */
export function findMosquitto(): string | undefined {
  const given = process.env['MOSQUITTO_BIN'];
  if (given !== undefined) return given;
  const directories = [
    ...(process.env['PATH'] ?? '').split(delimiter),
    '/usr/sbin',
    '/usr/local/sbin',
    '/opt/homebrew/sbin',
  ];
  return directories.map((directory) => join(directory, 'mosquitto')).find((path) => existsSync(path));
}

/** Whether tests with Mosquitto can run. */
export function hasMosquitto(): boolean {
  return hasServer(
    findMosquitto(),
    'Mosquitto',
    'install version 2 (`apt-get install mosquitto`), or set MOSQUITTO_BIN.',
  );
}
