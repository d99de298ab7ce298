/**
 * The mutations of the registry: each is one transaction of write model, events and idempotency key, which commit together
 * or not at all. Waking the relay comes after the commit and isn't needed for correctness.
 */
import { randomBytes } from 'node:crypto';
import { consistencyTokenOf } from '../../../backbone/events/consistency-token.js';
import { append, appendAll } from '../../../backbone/store/event-store.js';
import { once } from '../../../backbone/store/idempotency.js';
import { lastEventId } from '../../../backbone/store/last-event.js';
import { sqlOfPrisma, type Sql } from '../../../platform/database/sql.js';
import type { PrismaClient } from '../../../platform/database/prisma.js';
import { FleetgraphError } from '../../../platform/errors.js';
import type { RequestContext } from '../../../platform/graphql/context.js';
import { hashPassword, newPassword } from '../credentials/secret.js';
import {
  decide,
  eventOf,
  evolve,
  registered,
  streamOf,
  type Cause,
  type Device,
  type DeviceCommand,
  type DeviceType,
} from './device.js';
import {
  findDevices,
  findTypes,
  insertDevices,
  lockDevice,
  replaceLabels,
  replacePassword,
  revokeCredentials,
  saveDevice,
} from './device-rows.js';
import { defineType, ensureGenericType, genericTypeId } from './device-types.js';
import * as input from './registry-input.js';

/** Who asks. */
export type Caller = Pick<RequestContext, 'identity' | 'traceparent' | 'correlationId' | 'clientAddress'>;

export interface Credentials {
  readonly clientId: string;
  readonly username: string;
  readonly password: string;
}

export interface DeviceReply {
  readonly device: Device;
  readonly consistencyToken: string;
}

export interface RegisterReply extends DeviceReply {
  /** Null in a repetition: only a hash of the password is kept. */
  readonly credentials: Credentials | null;
}

export interface RegisterResult {
  readonly index: number;
  readonly device: Device | null;
  readonly credentials: Credentials | null;
  readonly error: { readonly code: string; readonly message: string; readonly field: string | undefined } | null;
}

export interface RegistryMutations {
  registerDevice(caller: Caller, args: unknown): Promise<RegisterReply>;
  registerDevices(
    caller: Caller,
    args: unknown,
  ): Promise<{ results: readonly RegisterResult[]; registered: number; consistencyToken: string | null }>;
  updateDevice(caller: Caller, args: unknown): Promise<DeviceReply>;
  decommissionDevice(caller: Caller, args: unknown): Promise<DeviceReply>;
  rotateDeviceCredentials(caller: Caller, args: unknown): Promise<RegisterReply>;
  setDesiredState(caller: Caller, args: unknown): Promise<DeviceReply>;
  defineDeviceType(caller: Caller, args: unknown): Promise<{ deviceType: DeviceType; consistencyToken: string }>;
}

/** What is kept under an idempotency key for a mutation of one device: no secret. */
interface Kept {
  readonly deviceId: string;
  readonly eventId: string;
}

export function createRegistryMutations(options: {
  prisma: PrismaClient;
  sql: Sql;
  wakeRelay: () => void;
}): RegistryMutations {
  const { prisma } = options;

  /** Runs `work` in a transaction, and at most once for each idempotency key; then wakes the relay. */
  const transact = async <T>(
    caller: Caller,
    operation: string,
    request: { readonly idempotencyKey: string | undefined },
    work: (sql: Sql) => Promise<T>,
  ) => {
    const { tenant } = caller.identity;
    const { idempotencyKey: key, ...rest } = request;
    const outcome = await prisma.$transaction(async (transaction) => {
      const sql = sqlOfPrisma(transaction);
      if (key === undefined) return { response: await work(sql), replayed: false };
      return once(sql, 'device.idempotency_keys', { tenant, operation, key, request: rest }, () => work(sql));
    });
    if (!outcome.replayed) options.wakeRelay();
    return outcome;
  };

  const deviceOf = async (caller: Caller, id: string): Promise<Device> => {
    const [device] = await findDevices(options.sql, caller.identity.tenant, [id]);
    if (!device) throw noSuchDevice(id);
    return device;
  };

  /** Decides a command on a device under its lock, and stores what comes of it. @returns the device, and the id of its last event. */
  const change = async (sql: Sql, caller: Caller, id: string, command: DeviceCommand): Promise<Kept> => {
    const { tenant } = caller.identity;
    const device = await lockDevice(sql, tenant, id);
    if (!device) throw noSuchDevice(id);
    if (command.kind === 'update' && command.typeId !== undefined) await requireType(sql, caller, command.typeId);
    const at = new Date();
    const facts = decide(device, command);
    const after = facts.reduce((state, fact) => evolve(state, fact, at), device);
    const events = facts.map((fact) => eventOf(device, fact, causeOf(caller), at));
    const last = events.at(-1);
    if (last === undefined) return { deviceId: id, eventId: await lastEventId(sql, tenant, streamOf(id)) };
    await saveDevice(sql, after);
    if (command.kind === 'update' && command.labels !== undefined) await replaceLabels(sql, after);
    if (command.kind === 'decommission') await revokeCredentials(sql, id);
    await append(sql, { tenant, stream: streamOf(id), expectedRevision: device.revision, events });
    return { deviceId: id, eventId: last.id };
  };

  const changeAndReply = async (
    caller: Caller,
    operation: string,
    request: { readonly id: string; readonly idempotencyKey: string | undefined },
    command: DeviceCommand,
  ): Promise<DeviceReply> => {
    const { response } = await transact(caller, operation, request, (sql) => change(sql, caller, request.id, command));
    return {
      device: await deviceOf(caller, response.deviceId),
      consistencyToken: consistencyTokenOf(response.eventId),
    };
  };

  /** Stores devices that are right, with new credentials. */
  const register = async (sql: Sql, caller: Caller, devices: readonly input.NewDevice[]) => {
    const { tenant } = caller.identity;
    const at = new Date();
    const made = devices.map((wanted) => {
      const { device, fact } = registered({ ...wanted, id: newDeviceId(), tenant }, at);
      const password = newPassword();
      return {
        device,
        password,
        passwordHash: hashPassword(password),
        event: eventOf(device, fact, causeOf(caller), at),
      };
    });
    await insertDevices(sql, made);
    await appendAll(
      sql,
      made.map(({ device, event }) => ({ tenant, stream: streamOf(device.id), expectedRevision: 0, events: [event] })),
    );
    return made;
  };

  return {
    async registerDevice(caller, args) {
      const request = input.readInput(input.registerDevice, args);
      let credentials: Credentials | null = null;
      const { response } = await transact(caller, 'registerDevice', request, async (sql): Promise<Kept> => {
        await requireType(sql, caller, request.typeId);
        const [made] = await register(sql, caller, [request]);
        if (!made) throw new Error('Nothing was registered.');
        credentials = credentialsOf(made.device.id, made.password);
        return { deviceId: made.device.id, eventId: made.event.id };
      });
      return {
        device: await deviceOf(caller, response.deviceId),
        credentials,
        consistencyToken: consistencyTokenOf(response.eventId),
      };
    },

    async registerDevices(caller, args) {
      const request = input.readInput(input.registerDevices, args);
      const { tenant } = caller.identity;
      const passwords = new Map<string, string>();
      const { response } = await transact(caller, 'registerDevices', request, async (sql) => {
        const readings = request.devices.map((device, index) => readOne(device, index));
        const wanted = [...new Set(readings.flatMap(({ device }) => (device ? [device.typeId] : [])))];
        if (wanted.includes(genericTypeId)) await ensureGenericType(sql, tenant, causeOf(caller));
        const types = new Set((await findTypes(sql, tenant, wanted)).map(({ id }) => id));
        const results = readings.map(({ device, error }, index) =>
          device && !types.has(device.typeId)
            ? { device: undefined, error: presented(noSuchType(device.typeId, `input.devices[${index}].typeId`)) }
            : { device, error },
        );
        const made = await register(
          sql,
          caller,
          results.flatMap(({ device }) => (device ? [device] : [])),
        );
        for (const { device, password } of made) passwords.set(device.id, password);
        let next = 0;
        return {
          items: results.map(({ device, error }) =>
            device
              ? { deviceId: made[next++]?.device.id ?? '', error: null }
              : { deviceId: null, error: error ?? null },
          ),
          eventId: made.at(-1)?.event.id ?? null,
        };
      });
      const ids = response.items.flatMap(({ deviceId }) => (deviceId === null ? [] : [deviceId]));
      const devices = new Map((await findDevices(options.sql, tenant, ids)).map((device) => [device.id, device]));
      const results = response.items.map(({ deviceId, error }, index): RegisterResult => {
        const password = deviceId === null ? undefined : passwords.get(deviceId);
        return {
          index,
          device: deviceId === null ? null : (devices.get(deviceId) ?? null),
          credentials: deviceId === null || password === undefined ? null : credentialsOf(deviceId, password),
          error,
        };
      });
      return {
        results,
        registered: ids.length,
        consistencyToken: response.eventId === null ? null : consistencyTokenOf(response.eventId),
      };
    },

    async updateDevice(caller, args) {
      const request = input.readInput(input.updateDevice, args);
      const { id: _id, idempotencyKey: _key, ...wanted } = request;
      // What is left out must not be there at all: it stays as it is.
      const given = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined));
      return changeAndReply(caller, 'updateDevice', request, { kind: 'update', ...given });
    },

    async decommissionDevice(caller, args) {
      return changeAndReply(caller, 'decommissionDevice', input.readInput(input.ofDevice, args), {
        kind: 'decommission',
      });
    },

    async rotateDeviceCredentials(caller, args) {
      const request = input.readInput(input.ofDevice, args);
      let credentials: Credentials | null = null;
      const { response } = await transact(caller, 'rotateDeviceCredentials', request, async (sql) => {
        const kept = await change(sql, caller, request.id, { kind: 'rotateCredentials' });
        const password = newPassword();
        await replacePassword(sql, request.id, hashPassword(password));
        credentials = credentialsOf(request.id, password);
        return kept;
      });
      return {
        device: await deviceOf(caller, response.deviceId),
        credentials,
        consistencyToken: consistencyTokenOf(response.eventId),
      };
    },

    async setDesiredState(caller, args) {
      const request = input.readInput(input.setDesiredState, args);
      const { desired, merge, expectedVersion } = request;
      return changeAndReply(caller, 'setDesiredState', request, {
        kind: 'setDesired',
        desired,
        merge,
        ...(expectedVersion === undefined ? {} : { expectedVersion }),
      });
    },

    async defineDeviceType(caller, args) {
      const request = input.readInput(input.defineDeviceType, args);
      const { tenant } = caller.identity;
      const { response } = await transact(caller, 'defineDeviceType', request, (sql) =>
        defineType(sql, tenant, request, causeOf(caller)),
      );
      const [deviceType] = await findTypes(options.sql, tenant, [request.id]);
      if (!deviceType) throw new Error(`The type ${request.id} was defined and is not there.`);
      return { deviceType, consistencyToken: consistencyTokenOf(response.eventId) };
    },
  };
}

async function requireType(sql: Sql, caller: Caller, typeId: string): Promise<void> {
  const { tenant } = caller.identity;
  if (typeId === genericTypeId) await ensureGenericType(sql, tenant, causeOf(caller));
  if ((await findTypes(sql, tenant, [typeId])).length === 0) throw noSuchType(typeId, 'input.typeId');
}

function readOne(device: unknown, index: number): { device?: input.NewDevice; error?: RegisterResult['error'] } {
  try {
    return { device: input.readInput(input.newDevice, device, `input.devices[${index}]`) };
  } catch (error) {
    if (error instanceof FleetgraphError) return { error: presented(error) };
    throw error;
  }
}

function presented({ code, message, field }: FleetgraphError): NonNullable<RegisterResult['error']> {
  return { code, message, field };
}

function causeOf(caller: Caller): Cause {
  const { identity, clientAddress: clientaddress, traceparent, correlationId: correlationid } = caller;
  return { actor: identity.subject, clientaddress, traceparent, correlationid };
}

/** 80 random bits: unique without asking anyone, and no clue to how many there are. */
function newDeviceId(): string {
  return `dev_${randomBytes(10).toString('hex')}`;
}

function credentialsOf(deviceId: string, password: string): Credentials {
  return { clientId: deviceId, username: deviceId, password };
}

function noSuchDevice(id: string): FleetgraphError {
  return new FleetgraphError('NOT_FOUND', `There is no device ${id}. Check the id.`, { field: 'input.id' });
}

function noSuchType(typeId: string, field: string): FleetgraphError {
  return new FleetgraphError(
    'NOT_FOUND',
    `There is no device type "${typeId}". Define it with defineDeviceType, or use "${genericTypeId}".`,
    { field },
  );
}
