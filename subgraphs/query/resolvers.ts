/** The resolvers of schema.graphql: each hands the arguments to the function that does the work. */
import type { LatestMetrics } from '../../backbone/changes/change.js';
import type { Sql } from '../../platform/database/sql.js';
import { scalarResolvers } from '../../platform/graphql/scalars.js';
import type { Resolvers } from '../../platform/graphql/subgraph.js';
import type { QueryContext } from './context.js';
import { readEventLog } from './event-log/event-log.js';
import { readFleetSummary } from './fleet/fleet-summary.js';
import { parseHistoryRequest } from './history/read-history.js';
import { alertStream } from './live/alert-stream.js';
import { commandStream } from './live/command-stream.js';
import { deviceStatesStream, deviceStateStream, telemetryStream } from './live/device-streams.js';
import { eventStream } from './live/event-stream.js';
import { fleetStream } from './live/fleet-stream.js';
import { deviceTwinStream } from './live/twin-stream.js';
import type { LiveOptions, Stream } from './live/stream.js';
import { testRule, type TestRuleInput } from './rules/test-rule.js';
import { metricStates } from './state/device-state.js';

export interface ResolverOptions {
  readonly sql: Sql;
  readonly live: LiveOptions;
}

interface DeviceReference {
  readonly id: string;
}

/** A subscription field. What its stream gives are payloads; with a phase, marks too, which the transport passes by. */
function streamField<Args>(streamOf: (tenant: string, args: Args) => Stream<object>) {
  return {
    async subscribe(_source: unknown, args: Args, context: QueryContext) {
      await context.consistent();
      const stream = streamOf(context.identity.tenant, args);
      return context.stream === undefined ? stream.follow() : stream.phase(context.stream);
    },
    resolve: (payload: unknown) => payload,
  };
}

export function createResolvers({ sql, live }: ResolverOptions): Resolvers {
  const { DateTime, Duration, JSON, MetricValue } = scalarResolvers;
  if (!DateTime || !Duration || !JSON || !MetricValue) throw new Error('A scalar of the schema has no resolver.');
  return {
    DateTime,
    Duration,
    JSON,
    MetricValue,
    Query: {
      async fleet(_source: unknown, _args: unknown, context: QueryContext) {
        await context.consistent();
        return (await readFleetSummary(sql, context.identity.tenant)).summary;
      },
      async events(_source: unknown, args: Parameters<typeof readEventLog>[2], context: QueryContext) {
        await context.consistent();
        return readEventLog(sql, context.identity.tenant, args);
      },
      async testRule(_source: unknown, { input }: { input: TestRuleInput }, context: QueryContext) {
        await context.consistent();
        return testRule(live, context.identity.tenant, input, context.nowMs());
      },
    },
    Device: {
      // Any id is taken: whose it is, the loaders find out. Of another tenant's device they know nothing.
      __resolveReference: ({ id }: DeviceReference): DeviceReference => ({ id }),
      state: async ({ id }: DeviceReference, _args: unknown, context: QueryContext) =>
        (await context.devices.load(id)).state,
      presence: async ({ id }: DeviceReference, _args: unknown, context: QueryContext) =>
        (await context.devices.load(id)).presence,
      telemetry: ({ id }: DeviceReference, args: Parameters<typeof parseHistoryRequest>[0], context: QueryContext) =>
        context.histories.load({ deviceId: id, request: parseHistoryRequest(args, context.nowMs()) }),
    },
    RuleTestReading: { at: ({ at }: { at: number }): Date => new Date(at) },
    DeviceState: {
      metrics: ({ metrics }: { metrics: LatestMetrics }, { names }: { names?: readonly string[] | null }) =>
        metricStates(metrics, names),
    },
    Subscription: {
      deviceState: streamField<Parameters<typeof deviceStateStream>[2]>((tenant, args) =>
        deviceStateStream(live, tenant, args),
      ),
      deviceStates: streamField<Parameters<typeof deviceStatesStream>[2]>((tenant, args) =>
        deviceStatesStream(live, tenant, args),
      ),
      telemetry: streamField<Parameters<typeof telemetryStream>[2]>((tenant, args) =>
        telemetryStream(live, tenant, args),
      ),
      deviceTwin: streamField<Parameters<typeof deviceTwinStream>[2]>((tenant, args) =>
        deviceTwinStream(live, tenant, args),
      ),
      command: streamField<Parameters<typeof commandStream>[2]>((tenant, args) => commandStream(live, tenant, args)),
      alerts: streamField<Parameters<typeof alertStream>[2]>((tenant, args) => alertStream(live, tenant, args)),
      events: streamField<Parameters<typeof eventStream>[2]>((tenant, args) => eventStream(live, tenant, args)),
      fleet: streamField<Parameters<typeof fleetStream>[2]>((tenant, args) => fleetStream(live, tenant, args)),
    },
  };
}
