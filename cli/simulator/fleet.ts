/** The devices of the simulator: registered through the API once, their credentials kept for the next run. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import type { ApiClient } from '../api-client.js';

const credentials = z.object({
  deviceId: z.string(),
  clientId: z.string(),
  username: z.string(),
  password: z.string(),
});
export type SimulatedDevice = z.infer<typeof credentials>;

const typeId = 'simulated-boiler';
const chunkSize = 200;

/**
 * Gives `count` devices. Those in `file` are used again if the API still knows them; missing ones are registered.
 * @throws Error with the reason of the first registration that the API refuses.
 */
export async function openFleet(options: {
  api: ApiClient;
  count: number;
  file: string;
}): Promise<readonly SimulatedDevice[]> {
  const { api, count, file } = options;
  const known = await stillKnown(api, await readFleet(file));
  const missing = count - known.length;
  if (missing > 0) {
    await defineType(api);
    const run = Date.now().toString(36);
    for (let from = 0; from < missing; from += chunkSize) {
      known.push(...(await register(api, known.length, Math.min(chunkSize, missing - from), run)));
      await writeFleet(file, known);
    }
  }
  return known.slice(0, count);
}

async function readFleet(file: string): Promise<SimulatedDevice[]> {
  try {
    return z.array(credentials).parse(JSON.parse(await readFile(file, 'utf8')));
  } catch {
    // No file, or one that can't be read: the devices are registered anew.
    return [];
  }
}

async function writeFleet(file: string, devices: readonly SimulatedDevice[]): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, JSON.stringify(devices), { mode: 0o600 });
}

/** All or none: a fleet whose first device is gone belongs to a database that was deleted. */
async function stillKnown(api: ApiClient, devices: SimulatedDevice[]): Promise<SimulatedDevice[]> {
  const [first] = devices;
  if (first === undefined) return [];
  const data = await api.request<{ device: { status: string } | null }>(
    'query Known($id: ID!) { device(id: $id) { status } }',
    { id: first.deviceId },
  );
  return data.device?.status === 'ACTIVE' ? devices : [];
}

async function defineType(api: ApiClient): Promise<void> {
  await api.request(
    `mutation DefineType($input: DefineDeviceTypeInput!) { defineDeviceType(input: $input) { deviceType { id } } }`,
    {
      input: {
        id: typeId,
        name: 'Simulated boiler',
        metrics: [
          { name: 'temperature', kind: 'NUMBER', unit: '°C' },
          { name: 'pressure', kind: 'NUMBER', unit: 'bar' },
          { name: 'running', kind: 'BOOLEAN' },
        ],
      },
    },
  );
}

interface RegisterResult {
  readonly device: { readonly id: string } | null;
  readonly credentials: Omit<SimulatedDevice, 'deviceId'> | null;
  readonly error: { readonly message: string } | null;
}

async function register(api: ApiClient, first: number, count: number, run: string): Promise<SimulatedDevice[]> {
  const devices = Array.from({ length: count }, (_unused, index) => ({
    name: `Boiler ${first + index + 1}`,
    typeId,
    labels: [
      { key: 'site', value: (first + index) % 2 === 0 ? 'north' : 'south' },
      { key: 'simulated', value: run },
    ],
  }));
  const data = await api.request<{ registerDevices: { results: RegisterResult[] } }>(
    `mutation Register($input: RegisterDevicesInput!) {
      registerDevices(input: $input) { results { device { id } credentials { clientId username password } error { message } } }
    }`,
    { input: { devices } },
  );
  return data.registerDevices.results.map((result) => {
    if (!result.device || !result.credentials)
      throw new Error(`A device was not registered: ${result.error?.message ?? 'no reason given'}`);
    return { deviceId: result.device.id, ...result.credentials };
  });
}
