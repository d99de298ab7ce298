/** A device and its type, as the subgraph thinks of them, and what is decided about them: no database in here. */
import type { CommandDefinition } from '../../../backbone/devices/command-schema.js';
import type { MetricDefinition } from '../../../backbone/events/catalogue.js';
import { makeEvent, type Event, type NewEvent } from '../../../backbone/events/envelope.js';
import type { DomainEventType } from '../../../backbone/events/catalogue.js';
import { stateFault } from '../../../backbone/devices/device-state.js';
import { FleetgraphError } from '../../../platform/errors.js';
import type { JsonObject } from '../../../platform/database/storable.js';
import { mergePatch } from '../twin/merge-patch.js';

export type Labels = Readonly<Record<string, string>>;

export interface Device {
  readonly id: string;
  readonly tenant: string;
  readonly name: string;
  readonly typeId: string;
  readonly labels: Labels;
  readonly status: 'ACTIVE' | 'DECOMMISSIONED';
  /** Revision of the stream `device-{id}`. */
  readonly revision: number;
  readonly desired: JsonObject;
  readonly desiredVersion: number;
  readonly desiredAt: Date | null;
  readonly reported: JsonObject;
  readonly reportedVersion: number;
  readonly reportedAt: Date | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export interface DeviceType {
  readonly id: string;
  readonly tenant: string;
  readonly name: string;
  readonly description: string | null;
  readonly metrics: readonly MetricDefinition[];
  readonly decoder: string;
  /** The commands that its devices take, and no others; empty: any. */
  readonly commands: readonly CommandDefinition[];
  readonly revision: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** What is asked of a device that exists. */
export type DeviceCommand =
  | {
      readonly kind: 'update';
      readonly name?: string;
      readonly typeId?: string;
      readonly labels?: Labels;
      readonly expectedRevision?: number;
    }
  | { readonly kind: 'decommission' }
  | { readonly kind: 'rotateCredentials' }
  | {
      readonly kind: 'setDesired';
      readonly desired: JsonObject;
      readonly merge: boolean;
      readonly expectedVersion?: number;
    }
  | { readonly kind: 'report'; readonly reported: JsonObject; readonly at: Date };

/** What happened to a device: the events of its stream, without their envelopes. */
export type DeviceFact =
  | {
      readonly type: 'io.fleetgraph.device.registered.v1';
      readonly data: {
        readonly deviceId: string;
        readonly name: string;
        readonly typeId: string;
        readonly labels: Labels;
      };
    }
  | {
      readonly type: 'io.fleetgraph.device.updated.v1';
      readonly data: {
        readonly deviceId: string;
        readonly name: string;
        readonly typeId: string;
        readonly labels: Labels;
      };
    }
  | { readonly type: 'io.fleetgraph.device.decommissioned.v1'; readonly data: { readonly deviceId: string } }
  | {
      readonly type: 'io.fleetgraph.device.credentials-rotated.v1';
      readonly data: { readonly deviceId: string; readonly clientId: string };
    }
  | {
      readonly type: 'io.fleetgraph.device.desired-state-set.v1';
      readonly data: { readonly deviceId: string; readonly desired: JsonObject; readonly version: number };
    }
  | {
      readonly type: 'io.fleetgraph.device.reported-state-changed.v1';
      readonly data: { readonly deviceId: string; readonly reported: JsonObject; readonly version: number };
    };

/**
 * What a command does to a device. No facts: there is nothing to do.
 * @throws FleetgraphError CONFLICT when the device is not what the caller believed, or no longer in service; BAD_USER_INPUT
 * when its state would be more than can be kept.
 */
export function decide(device: Device, command: DeviceCommand): readonly DeviceFact[] {
  const deviceId = device.id;
  if (device.status === 'DECOMMISSIONED') {
    // A report that was on its way, and a second decommissioning, are nobody's fault.
    if (command.kind === 'decommission' || command.kind === 'report') return [];
    throw new FleetgraphError(
      'CONFLICT',
      `The device ${deviceId} is decommissioned and can't be changed any more. Register a new one.`,
    );
  }
  switch (command.kind) {
    case 'update':
      if (command.expectedRevision !== undefined && command.expectedRevision !== device.revision) {
        throw new FleetgraphError(
          'CONFLICT',
          `The device ${deviceId} has revision ${device.revision}, not ${command.expectedRevision}. Read it again and retry.`,
          { field: 'input.expectedRevision' },
        );
      }
      return [
        {
          type: 'io.fleetgraph.device.updated.v1',
          data: {
            deviceId,
            name: command.name ?? device.name,
            typeId: command.typeId ?? device.typeId,
            labels: command.labels ?? device.labels,
          },
        },
      ];
    case 'decommission':
      return [{ type: 'io.fleetgraph.device.decommissioned.v1', data: { deviceId } }];
    case 'rotateCredentials':
      return [{ type: 'io.fleetgraph.device.credentials-rotated.v1', data: { deviceId, clientId: deviceId } }];
    case 'setDesired': {
      if (command.expectedVersion !== undefined && command.expectedVersion !== device.desiredVersion) {
        throw new FleetgraphError(
          'CONFLICT',
          `The desired state of ${deviceId} has version ${device.desiredVersion}, not ${command.expectedVersion}. Read it again and retry.`,
          { field: 'input.expectedVersion' },
        );
      }
      const desired = command.merge ? mergePatch(device.desired, command.desired) : command.desired;
      requireKeepable(desired, 'desired');
      return [
        {
          type: 'io.fleetgraph.device.desired-state-set.v1',
          data: { deviceId, desired, version: device.desiredVersion + 1 },
        },
      ];
    }
    case 'report': {
      // A report that is not newer than the last is late, or here again.
      if (device.reportedAt !== null && command.at <= device.reportedAt) return [];
      const reported = mergePatch(device.reported, command.reported);
      requireKeepable(reported, 'reported');
      return [
        {
          type: 'io.fleetgraph.device.reported-state-changed.v1',
          data: { deviceId, reported, version: device.reportedVersion + 1 },
        },
      ];
    }
  }
}

/** The limits are those of a state, not of a patch: many small patches would get around them one by one. */
function requireKeepable(state: JsonObject, half: 'desired' | 'reported'): void {
  const fault = stateFault(state);
  if (fault !== undefined)
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      `The ${half} state would be more than can be kept: it ${fault}. Remove members that are not needed any more.`,
      { field: `input.${half}` },
    );
}

/** The device after a fact. `at` is when it happened; for a report, when the device said it. */
export function evolve(device: Device, fact: DeviceFact, at: Date): Device {
  const after = { ...device, revision: device.revision + 1, updatedAt: at > device.updatedAt ? at : device.updatedAt };
  switch (fact.type) {
    case 'io.fleetgraph.device.registered.v1':
    case 'io.fleetgraph.device.updated.v1':
      return { ...after, name: fact.data.name, typeId: fact.data.typeId, labels: fact.data.labels };
    case 'io.fleetgraph.device.decommissioned.v1':
      return { ...after, status: 'DECOMMISSIONED' };
    case 'io.fleetgraph.device.credentials-rotated.v1':
      return after;
    case 'io.fleetgraph.device.desired-state-set.v1':
      return { ...after, desired: fact.data.desired, desiredVersion: fact.data.version, desiredAt: at };
    case 'io.fleetgraph.device.reported-state-changed.v1':
      return { ...after, reported: fact.data.reported, reportedVersion: fact.data.version, reportedAt: at };
  }
}

/** A device that was registered just now. */
export function registered(
  device: Pick<Device, 'id' | 'tenant' | 'name' | 'typeId' | 'labels'>,
  at: Date,
): { readonly device: Device; readonly fact: DeviceFact } {
  const { id, tenant, name, typeId, labels } = device;
  return {
    device: {
      id,
      tenant,
      name,
      typeId,
      labels,
      status: 'ACTIVE',
      revision: 1,
      desired: {},
      desiredVersion: 0,
      desiredAt: null,
      reported: {},
      reportedVersion: 0,
      reportedAt: null,
      createdAt: at,
      updatedAt: at,
    },
    fact: { type: 'io.fleetgraph.device.registered.v1', data: { deviceId: id, name, typeId, labels } },
  };
}

/** Who and what caused an event. */
export type Cause = Pick<NewEvent, 'actor' | 'clientaddress' | 'traceparent' | 'correlationid' | 'causationid'>;

/** The event of a fact, in its envelope. */
export function eventOf(
  device: { readonly id: string; readonly tenant: string },
  fact: DeviceFact,
  cause: Cause,
  at: Date,
): Event<DomainEventType> {
  return makeEvent<DomainEventType>({
    ...cause,
    source: '/device',
    type: fact.type,
    subject: device.id,
    tenant: device.tenant,
    data: fact.data,
    time: at.toISOString(),
  });
}

export function streamOf(deviceId: string): string {
  return `device-${deviceId}`;
}
