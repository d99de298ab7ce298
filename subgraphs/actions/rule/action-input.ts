/** `RuleActionInput` of the graph to the actions of a rule. Whether what they name is there, `action-references.ts` asks. */
import type { RuleAction } from '../../../backbone/rules/definition.js';
import { assertStorableJson, type Json } from '../../../platform/database/storable.js';
import { FleetgraphError } from '../../../platform/errors.js';
import { isPossibleId, maxParametersBytes, maxParametersDepth } from '../command/command-input.js';
import { timeToLiveMs } from '../command/time-to-live.js';

const maxActions = 10;

/** As GraphQL gives it. */
export interface RuleActionInput {
  readonly on?: readonly RuleAction['on'][number][] | null;
  readonly webhook?: { readonly webhookId: string } | null;
  readonly command?: {
    readonly deviceId?: string | null;
    readonly name: string;
    readonly parameters?: unknown;
    readonly timeToLive?: string | null;
  } | null;
  readonly publish?: { readonly topic: string; readonly payload?: unknown } | null;
  readonly event?: { readonly name: string; readonly data?: unknown } | null;
}

const kinds = ['webhook', 'command', 'publish', 'event'] as const;
const word = /^[A-Za-z0-9_.-]{1,64}$/;
/** What devices and the bridge say to each other under a device's topic is theirs. */
const ownTopics = ['telemetry', 'state', 'event', 'presence', 'command', 'desired'];

/** @throws FleetgraphError BAD_USER_INPUT with the field at fault. */
export function readActions(inputs: readonly RuleActionInput[], field: string): RuleAction[] {
  if (inputs.length > maxActions) throw bad(field, `has ${inputs.length} actions; a rule has at most ${maxActions}`);
  return inputs.map((input, index) => readAction(input, `${field}[${index}]`));
}

function readAction(input: RuleActionInput, field: string): RuleAction {
  const named = kinds.filter((kind) => input[kind] !== null && input[kind] !== undefined);
  if (named.length !== 1)
    throw bad(
      field,
      `must have exactly one of ${kinds.join(', ')}${named.length === 0 ? '' : `; it has ${named.join(' and ')}`}`,
    );
  const on = [...new Set(input.on ?? ['RAISED' as const])];
  if (on.length === 0) throw bad(`${field}.on`, 'is empty, so the action would never be done');
  if (input.webhook) {
    const { webhookId } = input.webhook;
    if (!isPossibleId(webhookId)) throw bad(`${field}.webhook.webhookId`, 'is no id of a webhook');
    return { kind: 'webhook', on, webhookId };
  }
  if (input.command) {
    const { deviceId, name, parameters, timeToLive } = input.command;
    const at = `${field}.command`;
    if (deviceId !== null && deviceId !== undefined && !isPossibleId(deviceId))
      throw bad(`${at}.deviceId`, 'is no id of a device');
    if (!word.test(name)) throw bad(`${at}.name`, 'must be 1 to 64 letters, digits, "_", "." or "-"');
    if (typeof (parameters ?? {}) !== 'object' || Array.isArray(parameters))
      throw bad(`${at}.parameters`, 'must be a JSON object, e.g. { "celsius": 21 }');
    return {
      kind: 'command',
      on,
      name,
      ...(deviceId === null || deviceId === undefined ? {} : { deviceId }),
      parameters: json(parameters ?? {}, `${at}.parameters`),
      timeToLiveMs: timeToLiveMs(timeToLive ?? 'PT1M', `${at}.timeToLive`),
    };
  }
  if (input.publish) {
    const { topic, payload } = input.publish;
    const levels = topic.split('/');
    if (levels.length > 4 || !levels.every((level) => word.test(level)))
      throw bad(`${field}.publish.topic`, 'must be one to four levels of letters, digits, "_", "." or "-"');
    if (ownTopics.includes(levels[0] ?? ''))
      throw bad(`${field}.publish.topic`, `begins with "${String(levels[0])}", which fleetgraph itself uses`);
    return { kind: 'publish', on, topic, payload: json(payload ?? null, `${field}.publish.payload`) };
  }
  const { name, data } = input.event ?? { name: '', data: null };
  if (!word.test(name)) throw bad(`${field}.event.name`, 'must be 1 to 64 letters, digits, "_", "." or "-"');
  return { kind: 'event', on, name, data: json(data ?? null, `${field}.event.data`) };
}

type ActionJson = Extract<RuleAction, { kind: 'event' }>['data'];

function json(value: unknown, field: string): ActionJson {
  // The depth first: JSON.stringify recurses.
  assertStorableJson(value as Json, field, maxParametersDepth);
  const bytes = Buffer.byteLength(JSON.stringify(value));
  if (bytes > maxParametersBytes)
    throw bad(field, `is ${bytes} bytes of JSON; at most ${maxParametersBytes} can be sent`);
  return value as ActionJson;
}

function bad(field: string, what: string): FleetgraphError {
  return new FleetgraphError('BAD_USER_INPUT', `${field} ${what}.`, { field });
}
