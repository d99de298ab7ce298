/**
 * `testRule`: when a rule would have fired for a device, by the readings that are kept. The same functions ask it that the
 * orchestrator asks it with, so what is shown is what would have been.
 */
import { randomUUID } from 'node:crypto';
import { microsOf, microsSql, timestampSql, type EpochMicros } from '../../../backbone/changes/time-series.js';
import type { Reading } from '../../../backbone/events/catalogue.js';
import { compileRule, type CompiledRule } from '../../../backbone/rules/compile.js';
import { readCondition, type RuleConditionInput } from '../../../backbone/rules/condition-input.js';
import type { RuleDefinition } from '../../../backbone/rules/definition.js';
import { deviceRules, unwatched, watchDevice } from '../../../backbone/rules/watch-device.js';
import type { Sql } from '../../../platform/database/sql.js';
import { FleetgraphError } from '../../../platform/errors.js';
import { requireDevice } from '../consistency/existence.js';
import type { ConsistencyOptions } from '../consistency/wait-for-event.js';

/** `TestRuleInput` as GraphQL gives it. */
export interface TestRuleInput {
  readonly ruleId?: string | null;
  readonly condition?: RuleConditionInput | null;
  readonly deviceId: string;
  readonly from: Date;
  readonly to?: Date | null;
}

export interface RuleTest {
  readonly from: Date;
  readonly to: Date;
  /** Readings that it was asked about. */
  readonly readings: number;
  readonly firings: readonly Firing[];
  /** Evaluations that failed, and why the first did. */
  readonly faults: number;
  readonly fault: string | null;
}

interface Firing {
  readonly at: Date;
  readonly recoveredAt: Date | null;
  readonly readings: readonly Reading[];
}

/** Most readings that one test looks at, and firings that it shows. */
const maxReadings = 50_000;
const maxFirings = 1_000;

/** Tests a rule. @throws FleetgraphError NOT_FOUND for a rule or a device that is not there, BAD_USER_INPUT with the field at fault. */
export async function testRule(
  options: ConsistencyOptions,
  tenant: string,
  input: TestRuleInput,
  nowMs: number,
): Promise<RuleTest> {
  const { sql } = options;
  const rule = await ruleOf(sql, tenant, input);
  const from = input.from.getTime();
  const to = Math.min(input.to?.getTime() ?? nowMs, nowMs);
  if (from >= to) throw bad('from', `must be before "to" (${new Date(to).toISOString()}) and in the past`);
  await requireDevice(options, tenant, input.deviceId, 'input.deviceId');
  const readings = await readReadings(sql, tenant, input.deviceId, rule, from, to);
  if (readings.length > maxReadings)
    throw bad('from', `has more than ${maxReadings.toLocaleString('en')} readings behind it; test a shorter time`);
  let faults = 0;
  let fault: string | null = null;
  const watching = watchDevice({ ...unwatched, clock: from, dueAt: from }, deviceRules([rule]), (_rule, error) => {
    faults += 1;
    fault ??= error instanceof Error ? error.message : String(error);
  });
  watching.pass(from);
  watching.hear(readings);
  watching.pass(to);
  const firings: { at: Date; recoveredAt: Date | null; readings: readonly Reading[] }[] = [];
  for (const { kind, at, readings: of } of watching.result().transitions) {
    const last = firings.at(-1);
    if (kind === 'fired') firings.push({ at: new Date(at), recoveredAt: null, readings: of });
    else if (last !== undefined) last.recoveredAt = new Date(at);
  }
  if (firings.length > maxFirings)
    throw bad('from', `has ${firings.length} firings behind it, more than ${maxFirings}; test a shorter time`);
  return { from: new Date(from), to: new Date(to), readings: readings.length, firings, faults, fault };
}

async function ruleOf(sql: Sql, tenant: string, { ruleId, condition }: TestRuleInput): Promise<CompiledRule> {
  const isSaved = ruleId !== null && ruleId !== undefined;
  const isGiven = condition !== null && condition !== undefined;
  if (isSaved === isGiven) throw bad('ruleId', 'or "input.condition" must be given, and not both');
  if (isGiven)
    return compileRule({
      ruleId: randomUUID(),
      version: 1,
      name: 'test',
      enabled: true,
      severity: 'INFO',
      selector: {},
      actions: [],
      condition: readCondition(condition, 'input.condition'),
    });
  const [row] = await sql.query<{ definition: RuleDefinition }>(
    'SELECT definition FROM projections.rules WHERE tenant = $1 AND id = $2',
    [tenant, ruleId],
  );
  if (row === undefined)
    throw new FleetgraphError('NOT_FOUND', `There is no rule ${String(ruleId)}. Check the id.`, {
      field: 'input.ruleId',
    });
  return compileRule(row.definition);
}

/** The readings that the rule looks at, in order; one more than there may be, if there are more. */
async function readReadings(
  sql: Sql,
  tenant: string,
  deviceId: string,
  rule: CompiledRule,
  from: number,
  to: number,
): Promise<readonly Reading[]> {
  const rows = await sql.query<{ metric: string; at: EpochMicros; number: number | null; other: boolean | string }>(
    `SELECT metric, ${microsSql('at')} AS at, number, other FROM projections.readings
     WHERE device_id = $1 AND tenant = $2 AND ($3::text[] IS NULL OR metric = ANY($3))
       AND at >= ${timestampSql('$4')} AND at < ${timestampSql('$5')}
     ORDER BY at, metric LIMIT $6`,
    [
      ...[deviceId, tenant, rule.hearsAll ? null : [...rule.metrics]],
      ...[from * microsOf.millisecond, to * microsOf.millisecond, maxReadings + 1],
    ],
  );
  return rows.map(({ metric, at, number, other }) => ({
    metric,
    at: at / microsOf.millisecond,
    value: number ?? other,
  }));
}

function bad(field: string, what: string): FleetgraphError {
  return new FleetgraphError('BAD_USER_INPUT', `input.${field} ${what}.`, { field: `input.${field}` });
}
