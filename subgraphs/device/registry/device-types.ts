import type { EventData } from '../../../backbone/events/catalogue.js';
import { makeEvent } from '../../../backbone/events/envelope.js';
import { append } from '../../../backbone/store/event-store.js';
import { lockStream } from '../../../backbone/store/stream-lock.js';
import type { Sql } from '../../../platform/database/sql.js';
import { FleetgraphError } from '../../../platform/errors.js';
import type { Cause, DeviceType } from './device.js';
import { insertType, lockType, saveType, typeIsUsed } from './device-rows.js';
import type { DeviceTypeDefinition } from './registry-input.js';

const definedType = 'io.fleetgraph.device-type.defined.v1';

/** The type that every tenant has without defining it: no declared metrics, the default decoder. */
export const genericTypeId = 'generic';

/** Makes the type `generic` of the tenant when it is used first. */
export async function ensureGenericType(sql: Sql, tenant: string, cause: Cause): Promise<void> {
  const at = new Date();
  const type: DeviceType = {
    id: genericTypeId,
    tenant,
    name: 'Generic device',
    description: 'Declares no metrics and takes any.',
    metrics: [],
    decoder: 'json',
    commands: [],
    revision: 1,
    createdAt: at,
    updatedAt: at,
  };
  if (await insertType(sql, type)) await appendDefined(sql, type, cause);
}

/**
 * Defines a type anew or replaces its definition.
 * @returns the id of the event.
 * @throws FleetgraphError CONFLICT when a metric would change its kind under devices that exist.
 */
export async function defineType(
  sql: Sql,
  tenant: string,
  definition: DeviceTypeDefinition,
  cause: Cause,
): Promise<{ eventId: string }> {
  const { id, name, description, decoder } = definition;
  const metrics = definition.metrics.map(({ unit, description: text, ...metric }) => ({
    ...metric,
    ...(unit === undefined ? {} : { unit }),
    ...(text === undefined ? {} : { description: text }),
  }));
  const commands = definition.commands.map(({ name: command, description: text, parametersSchema }) => ({
    name: command,
    ...(text === undefined ? {} : { description: text }),
    ...(parametersSchema === undefined ? {} : { parametersSchema }),
  }));
  const at = new Date();
  const type: DeviceType = {
    id,
    tenant,
    name,
    description: description ?? null,
    metrics,
    decoder,
    commands,
    revision: 1,
    createdAt: at,
    updatedAt: at,
  };
  await lockStream(sql, tenant, streamOf(id));
  if (await insertType(sql, type)) return { eventId: await appendDefined(sql, type, cause) };
  const before = await lockType(sql, tenant, id);
  if (!before) throw new Error(`The type ${id} is neither new nor there.`);
  const changed = changedKind(before, type);
  if (changed !== undefined && (await typeIsUsed(sql, tenant, id))) {
    throw new FleetgraphError(
      'CONFLICT',
      `The metric "${changed}" of "${id}" can't change its kind while there are devices of the type. Give the new metric another name, or define another type.`,
      { field: 'input.metrics' },
    );
  }
  const after: DeviceType = { ...type, revision: before.revision + 1, createdAt: before.createdAt };
  await saveType(sql, after);
  return { eventId: await appendDefined(sql, after, cause) };
}

/** Name of the first metric that both definitions have with different kinds. */
function changedKind(before: DeviceType, after: DeviceType): string | undefined {
  return after.metrics.find(({ name, kind }) =>
    before.metrics.some((metric) => metric.name === name && metric.kind !== kind),
  )?.name;
}

async function appendDefined(sql: Sql, type: DeviceType, cause: Cause): Promise<string> {
  const { id, tenant, name, description, metrics, decoder, commands } = type;
  const event = makeEvent({
    ...cause,
    source: '/device',
    type: definedType,
    subject: id,
    tenant,
    data: {
      typeId: id,
      name,
      metrics: [...metrics],
      decoder,
      ...(description === null ? {} : { description }),
      ...(commands.length === 0 ? {} : { commands: commands as EventData<typeof definedType>['commands'] }),
    },
  });
  await append(sql, { tenant, stream: streamOf(id), expectedRevision: type.revision - 1, events: [event] });
  return event.id;
}

function streamOf(typeId: string): string {
  return `device-type-${typeId}`;
}
