/** What one request reads of commands, batched: N entities or N devices of a list cost one statement each kind. */
import DataLoader from 'dataloader';
import type { Sql } from '../../../platform/database/sql.js';
import type { Connection, PageArguments } from '../../../platform/graphql/page.js';
import type { Command, CommandStatus } from './command.js';
import { isPossibleId } from './command-input.js';
import { pageOf, queryOf } from './command-page.js';
import { findCommands, listCommandsOfDevices } from './command-rows.js';

export interface DeviceCommandsArguments extends PageArguments {
  readonly status?: readonly CommandStatus[] | null;
}

export interface CommandLoaders {
  /** The tenant's command, or undefined. */
  command(id: string): Promise<Command | undefined>;
  /** A page of the commands to the device; an empty one if it is of another tenant. */
  ofDevice(deviceId: string, args: DeviceCommandsArguments): Promise<Connection<Command>>;
}

/** The loaders of one request. What was loaded is kept until it ends. */
export function createCommandLoaders(sql: Sql, tenant: string): CommandLoaders {
  const byId = new DataLoader<string, Command | undefined>(
    async (ids) => {
      const found = await findCommands(sql, tenant, ids.filter(isPossibleId));
      const commands = new Map(found.map((command) => [command.id, command]));
      return ids.map((id) => commands.get(id));
    },
    { maxBatchSize: 1_000 },
  );
  /** By the arguments: devices of one list are asked with the same ones. */
  const byDevice = new Map<string, DataLoader<string, Connection<Command>>>();

  const loaderFor = (args: DeviceCommandsArguments): DataLoader<string, Connection<Command>> => {
    const key = JSON.stringify([args.first, args.after, args.status]);
    let loader = byDevice.get(key);
    if (loader === undefined) {
      const query = queryOf(args, args.status);
      loader = new DataLoader(
        async (deviceIds) => {
          const rows = await listCommandsOfDevices(sql, tenant, deviceIds.filter(isPossibleId), query);
          return deviceIds.map((deviceId) => pageOf(rows.get(deviceId) ?? [], query, args));
        },
        { maxBatchSize: 200 },
      );
      byDevice.set(key, loader);
    }
    return loader;
  };

  return {
    command: (id) => byId.load(id),
    ofDevice: async (deviceId, args) => loaderFor(args).load(deviceId),
  };
}
