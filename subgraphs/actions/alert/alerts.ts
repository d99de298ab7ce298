/** Alerts in the graph, and what moves them: their rules, the clock, people. */
import DataLoader from 'dataloader';
import type pg from 'pg';
import type { EventBus } from '../../../backbone/bus/event-bus.js';
import { readSelector } from '../../../backbone/devices/label-selector.js';
import type { Reading } from '../../../backbone/events/catalogue.js';
import type { RuleSeverity } from '../../../backbone/rules/definition.js';
import { sqlOf, type Sql } from '../../../platform/database/sql.js';
import { assertStorableText } from '../../../platform/database/storable.js';
import { FleetgraphError } from '../../../platform/errors.js';
import {
  decodeCursor,
  encodeCursor,
  pageSize,
  toConnection,
  type Connection,
  type PageArguments,
} from '../../../platform/graphql/page.js';
import type { Role } from '../../../platform/lifecycle/role.js';
import type { Rounds } from '../../../platform/lifecycle/rounds.js';
import type { Logger } from '../../../platform/observability/logger.js';
import type { Registry } from '../../../platform/observability/metrics.js';
import { isPossibleId } from '../command/command-input.js';
import type { Rule } from '../rule/rule.js';
import type { RulesContext } from '../rule/rules.js';
import type { Alert } from './alert.js';
import { createAlertMetrics } from './alert-metrics.js';
import { createAlertMutations, type AlertMutations } from './alert-mutations.js';
import { findAlerts, listAlerts, type AlertQuery } from './alert-rows.js';
import { startCalm } from './calm.js';
import { createFactConsumer } from './fact-consumer.js';

export interface AlertsContext extends RulesContext {
  readonly alerts: AlertLoaders;
}

export interface AlertLoaders {
  /** The tenant's alert, or undefined. */
  alert(id: string): Promise<Alert | undefined>;
  /** A page of the alerts of the device; an empty one if it is of another tenant. */
  ofDevice(deviceId: string, args: DeviceAlertsArguments): Promise<Connection<Alert>>;
}

export interface DeviceAlertsArguments extends PageArguments {
  readonly status?: Alert['status'] | null;
}

interface AlertFilter {
  readonly status?: Alert['status'] | null;
  readonly acknowledged?: boolean | null;
  readonly severity?: readonly RuleSeverity[] | null;
  readonly ruleId?: string | null;
  readonly deviceId?: string | null;
  /** `DeviceSelector` as GraphQL gives it. */
  readonly selector?: unknown;
}

const order = 'alerts:newest';
/** The end of the year 9999: what a cursor of ours never passes. */
const latestMs = 253_402_300_799_999;

export function createAlerts(options: {
  bus: EventBus;
  pool: pg.Pool;
  log: Logger;
  metrics: Registry;
  wakeRelay: () => void;
}): { readonly consumer: Role; readonly start: () => Rounds; readonly resolvers: ReturnType<typeof resolversOf> } {
  const { pool, log, wakeRelay } = options;
  const alertMetrics = createAlertMetrics(options.metrics);
  return {
    consumer: createFactConsumer({ ...options, alertMetrics }),
    start: () => startCalm({ pool, log, metrics: alertMetrics, wakeRelay }),
    resolvers: resolversOf(sqlOf(pool), createAlertMutations({ pool, metrics: alertMetrics, wakeRelay })),
  };
}

/** What one request reads of alerts, batched. */
export function createAlertLoaders(sql: Sql, tenant: string): AlertLoaders {
  const byId = new DataLoader<string, Alert | undefined>(
    async (ids) => {
      const found = await findAlerts(sql, tenant, ids.filter(isPossibleId));
      const alerts = new Map(found.map((alert) => [alert.id, alert]));
      return ids.map((id) => alerts.get(id));
    },
    { maxBatchSize: 1_000 },
  );
  /** By the arguments: devices of one list are asked with the same ones. */
  const byDevice = new Map<string, DataLoader<string, Connection<Alert>>>();
  return {
    alert: (id) => byId.load(id),
    async ofDevice(deviceId, args) {
      const key = JSON.stringify([args.first, args.after, args.status]);
      let loader = byDevice.get(key);
      if (loader === undefined) {
        const query = queryOf(args, { status: args.status ?? null });
        loader = new DataLoader(
          async (deviceIds) => {
            const rows = await listAlerts(sql, tenant, { ...query, deviceIds: deviceIds.filter(isPossibleId) });
            return deviceIds.map((id) =>
              pageOf(
                rows.filter((alert) => alert.deviceId === id),
                query,
                args,
              ),
            );
          },
          { maxBatchSize: 200 },
        );
        byDevice.set(key, loader);
      }
      return loader.load(deviceId);
    },
  };
}

function resolversOf(sql: Sql, mutations: AlertMutations) {
  return {
    Query: {
      alert: async (_: unknown, { id }: { id: string }, { alerts }: AlertsContext): Promise<Alert | null> =>
        (await alerts.alert(id)) ?? null,
      alerts: async (
        _: unknown,
        args: PageArguments & { filter?: AlertFilter | null },
        { identity }: AlertsContext,
      ): Promise<Connection<Alert>> => {
        const query = queryOf(args, args.filter ?? {});
        return pageOf(await listAlerts(sql, identity.tenant, query), query, args);
      },
    },
    Mutation: {
      acknowledgeAlert: (
        _: unknown,
        { input }: { input: { id: string; comment?: string | null } },
        context: AlertsContext,
      ) => mutations.acknowledge(context, input),
      clearAlert: (_: unknown, { input }: { input: { id: string; comment?: string | null } }, context: AlertsContext) =>
        mutations.clear(context, input),
      commentAlert: (_: unknown, { input }: { input: { id: string; text: string } }, context: AlertsContext) =>
        mutations.comment(context, input),
    },
    Alert: {
      __resolveReference: async ({ id }: { id: string }, { alerts }: AlertsContext): Promise<Alert | null> =>
        (await alerts.alert(id)) ?? null,
      acknowledged: ({ acknowledgedAt }: Alert): boolean => acknowledgedAt !== null,
      rule: async ({ ruleId }: Alert, _: unknown, { rules }: AlertsContext): Promise<Rule | null> =>
        (await rules.load(ruleId)) ?? null,
      device: ({ deviceId }: Alert) => ({ __typename: 'Device' as const, id: deviceId }),
    },
    AlertReading: { at: ({ at }: Reading): Date => new Date(at) },
    AlertComment: { at: ({ at }: { at: string }): Date => new Date(at) },
  };
}

/** What to ask for: one row more than the page has, to know whether there is a next. @throws FleetgraphError BAD_USER_INPUT. */
function queryOf(page: PageArguments, filter: AlertFilter): AlertQuery {
  const [time, id] = decodeCursor(order, page.after, 2) ?? [];
  const after = time === undefined || id === undefined ? undefined : { firstAtMs: Number(time), id };
  if (after !== undefined && !(after.firstAtMs >= 0 && after.firstAtMs <= latestMs))
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      'The cursor is damaged. Take it from "pageInfo.endCursor", unchanged.',
      {
        field: 'after',
      },
    );
  const deviceId = given(filter.deviceId, 'filter.deviceId');
  return {
    limit: pageSize(page) + 1,
    after,
    status: filter.status ?? undefined,
    severity: filter.severity ?? undefined,
    acknowledged: filter.acknowledged ?? undefined,
    ruleId: given(filter.ruleId, 'filter.ruleId'),
    deviceIds: deviceId === undefined ? undefined : [deviceId],
    selector:
      filter.selector === null || filter.selector === undefined
        ? undefined
        : readSelector(filter.selector, 'filter.selector'),
  };
}

function pageOf(rows: readonly Alert[], query: AlertQuery, page: PageArguments): Connection<Alert> {
  return toConnection(rows, query.limit - 1, page, (alert) => encodeCursor(order, [alert.firstAt.getTime(), alert.id]));
}

function given(value: string | null | undefined, field: string): string | undefined {
  if (value === null || value === undefined) return undefined;
  assertStorableText(value, field);
  if (isPossibleId(value)) return value;
  throw new FleetgraphError('BAD_USER_INPUT', `${field} must be 1 to 128 characters.`, { field });
}
