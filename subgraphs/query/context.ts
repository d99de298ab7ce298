/** What the resolvers of the query subgraph get: who asks, loaders that batch per request, and the wait for consistency. */
import DataLoader from 'dataloader';
import type { Sql } from '../../platform/database/sql.js';
import type { RequestContext } from '../../platform/graphql/context.js';
import type { StreamRequest } from '../../platform/graphql/stream-contract.js';
import { waitForToken, type ConsistencyOptions } from './consistency/wait-for-event.js';
import { readHistories, type HistoryRequest, type TelemetrySeries } from './history/read-history.js';
import { readDeviceViews, type DeviceView } from './state/device-state.js';

export interface QueryContext extends RequestContext {
  /** The phase of a stream that a gateway asks for. */
  readonly stream?: StreamRequest | undefined;
  /** One moment for the whole request, so that devices asked for the same range are read together. Epoch milliseconds. */
  readonly nowMs: () => number;
  /** Resolves when the read side has seen the mutation that the request's consistency token names; once per request. */
  readonly consistent: () => Promise<void>;
  readonly devices: DataLoader<string, DeviceView>;
  readonly histories: DataLoader<HistoryKey, TelemetrySeries, string>;
}

export interface HistoryKey {
  readonly deviceId: string;
  readonly request: HistoryRequest;
}

export interface ContextOptions {
  readonly sql: Sql;
  readonly retentionDays: number;
  readonly consistency: ConsistencyOptions;
  /**
   * Whether the request is over with one answer. A subscription's context serves all its payloads: it batches as well,
   * but remembers nothing.
   */
  readonly isOneAnswer: boolean;
}

/** Makes the context of one request or subscription. */
export function createQueryContext(base: RequestContext, options: ContextOptions): QueryContext {
  const { sql, retentionDays, isOneAnswer: cache } = options;
  const { tenant } = base.identity;
  const begun = Date.now();
  const nowMs = cache ? () => begun : Date.now;
  let waiting: Promise<void> | undefined;
  const consistent = (): Promise<void> => {
    waiting ??=
      base.consistencyToken === undefined
        ? Promise.resolve()
        : waitForToken(options.consistency, tenant, base.consistencyToken);
    return waiting;
  };
  return {
    ...base,
    nowMs,
    consistent,
    devices: new DataLoader(
      async (ids) => {
        await consistent();
        return readDeviceViews(sql, tenant, ids);
      },
      { cache, maxBatchSize: 1_000 },
    ),
    histories: new DataLoader<HistoryKey, TelemetrySeries, string>(
      async (keys) => {
        await consistent();
        return loadHistories(keys, (request, ids) =>
          readHistories(sql, tenant, request, ids, { nowMs: nowMs(), retentionDays }),
        );
      },
      { cache, cacheKeyFn: ({ deviceId, request }) => `${deviceId}\n${JSON.stringify(request)}` },
    ),
  };
}

/** Reads the devices that are asked for the same thing together. A request that fails fails its own keys only. */
async function loadHistories(
  keys: readonly HistoryKey[],
  read: (request: HistoryRequest, ids: readonly string[]) => Promise<readonly TelemetrySeries[]>,
): Promise<readonly (TelemetrySeries | Error)[]> {
  const groups = new Map<string, { readonly request: HistoryRequest; readonly places: number[] }>();
  keys.forEach(({ request }, place) => {
    const name = JSON.stringify(request);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, { request, places: [place] });
    else group.places.push(place);
  });
  const results: (TelemetrySeries | Error)[] = keys.map(() => new Error('not read'));
  for (const { request, places } of groups.values()) {
    try {
      const series = await read(
        request,
        places.map((place) => keys[place]?.deviceId ?? ''),
      );
      places.forEach((place, index) => {
        const found = series[index];
        if (found !== undefined) results[place] = found;
      });
    } catch (error) {
      for (const place of places) results[place] = error instanceof Error ? error : new Error(String(error));
    }
  }
  return results;
}
