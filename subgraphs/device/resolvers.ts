/** The resolvers of `schema.graphql`: arguments in, the registry's own functions, rows out. */
import DataLoader from 'dataloader';
import { twinView } from '../../backbone/devices/twin-delta.js';
import type { Sql } from '../../platform/database/sql.js';
import type { RequestContext } from '../../platform/graphql/context.js';
import { decodeCursor, encodeCursor, pageSize, toConnection, type PageArguments } from '../../platform/graphql/page.js';
import { scalarResolvers } from '../../platform/graphql/scalars.js';
import type { Resolvers } from '../../platform/graphql/subgraph.js';
import type { Device, DeviceType } from './registry/device.js';
import { pageOfDevices, type DeviceConnection, type DevicePageArguments } from './registry/device-page.js';
import { findDevices, findTypes, listTypes } from './registry/device-rows.js';
import { isStorableText } from '../../platform/database/storable.js';
import type { RegistryMutations } from './registry/registry-mutations.js';

/** Devices and types of one request: what is asked for in one tick is read in one statement. */
export interface DeviceContext extends RequestContext {
  readonly devices: DataLoader<string, Device | null>;
  readonly types: DataLoader<string, DeviceType | null>;
}

/** The loaders of one request, bound to its tenant. */
export function createLoaders(sql: Sql, tenant: string): Pick<DeviceContext, 'devices' | 'types'> {
  const loader = <T extends { readonly id: string }>(
    find: (sql: Sql, tenant: string, ids: readonly string[]) => Promise<T[]>,
  ) =>
    new DataLoader<string, T | null>(async (ids) => {
      const found = new Map((await find(sql, tenant, ids.filter(isStorableText))).map((entity) => [entity.id, entity]));
      return ids.map((id) => found.get(id) ?? null);
    });
  return { devices: loader(findDevices), types: loader(findTypes) };
}

export function createResolvers(options: { sql: Sql; mutations: RegistryMutations }): Resolvers {
  const { sql, mutations } = options;
  /** A mutation of the registry as a resolver. */
  const mutation =
    (name: keyof RegistryMutations) =>
    (_: unknown, { input }: { input: unknown }, context: DeviceContext) =>
      mutations[name](context, input);
  return {
    DateTime: scalar('DateTime'),
    JSON: scalar('JSON'),

    Query: {
      device: (_: unknown, { id }: { id: string }, { devices }: DeviceContext) => devices.load(id),
      devices: (_: unknown, args: DevicePageArguments, { identity }: DeviceContext) =>
        pageOfDevices(sql, identity.tenant, args),
      deviceType: (_: unknown, { id }: { id: string }, { types }: DeviceContext) => types.load(id),
      async deviceTypes(_: unknown, args: PageArguments, { identity }: DeviceContext) {
        const size = pageSize(args);
        const [after] = decodeCursor('TYPE', args.after, 1) ?? [];
        const types = await listTypes(sql, identity.tenant, after, size + 1);
        return toConnection(types, size, args, ({ id }) => encodeCursor('TYPE', [id]));
      },
    },

    Mutation: {
      registerDevice: mutation('registerDevice'),
      registerDevices: mutation('registerDevices'),
      updateDevice: mutation('updateDevice'),
      decommissionDevice: mutation('decommissionDevice'),
      rotateDeviceCredentials: mutation('rotateDeviceCredentials'),
      setDesiredState: mutation('setDesiredState'),
      defineDeviceType: mutation('defineDeviceType'),
    },

    Device: {
      __resolveReference: ({ id }: { id: string }, { devices }: DeviceContext) => devices.load(id),
      labels: ({ labels }: Device) =>
        Object.entries(labels)
          .map(([key, value]) => ({ key, value }))
          .sort((a, b) => (a.key < b.key ? -1 : 1)),
      async type({ typeId }: Device, _: unknown, { types }: DeviceContext) {
        const type = await types.load(typeId);
        if (!type) throw new Error(`The type ${typeId} of a device is not there.`);
        return type;
      },
      desiredState: ({ desired, desiredVersion }: Device) => ({ values: desired, version: desiredVersion }),
      twin: (device: Device) => twinView(device),
      reportedState: ({ reported, reportedVersion, reportedAt }: Device) => ({
        values: reported,
        version: reportedVersion,
        at: reportedAt,
      }),
    },

    DeviceType: {
      __resolveReference: ({ id }: { id: string }, { types }: DeviceContext) => types.load(id),
    },

    DeviceConnection: {
      totalCount: ({ totalCount }: DeviceConnection) => totalCount(),
    },
  };
}

function scalar(name: string) {
  const resolver = scalarResolvers[name];
  if (resolver === undefined) throw new Error(`The scalar ${name} has no resolver.`);
  return resolver;
}
