/** Which metrics a rule may name: those that all of its device types declare, if it says of which types its devices are. */
import type { Kind } from '../../../backbone/rules/expression.js';
import type { Sql } from '../../../platform/database/sql.js';
import { FleetgraphError } from '../../../platform/errors.js';
import { pause } from '../../../platform/lifecycle/wait.js';
import { findDeclarations } from './rule-rows.js';

/** Every tenant has it without defining it; it takes any metric. */
const genericTypeId = 'generic';
const pollMs = 50;

/**
 * The metrics with their kinds; undefined if any may be named: without types, or where a type takes any. A type that was
 * defined a moment ago is waited for, at most `timeoutMs`.
 * @throws FleetgraphError NOT_FOUND if the tenant has no such type.
 */
export async function knownMetrics(
  sql: Sql,
  tenant: string,
  typeIds: readonly string[] | undefined,
  timeoutMs: number,
): Promise<ReadonlyMap<string, Kind> | undefined> {
  const wanted = [...new Set(typeIds ?? [])].filter((id) => id !== genericTypeId);
  if (wanted.length === 0) return undefined;
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const declarations = await findDeclarations(sql, tenant, wanted);
    if (declarations.length === wanted.length) {
      if (typeIds?.includes(genericTypeId) === true) return undefined;
      return common(declarations.map(({ metrics }) => new Map(metrics.map(({ name, kind }) => [name, kind]))));
    }
    if (Date.now() > deadline) {
      const missing = wanted.find((id) => !declarations.some(({ typeId }) => typeId === id)) ?? '';
      throw new FleetgraphError('NOT_FOUND', `There is no device type ${missing}. Check the id.`, {
        field: `input.selector.typeIds[${typeIds?.indexOf(missing) ?? 0}]`,
      });
    }
    await pause(pollMs);
  }
}

function common(types: readonly ReadonlyMap<string, Kind>[]): ReadonlyMap<string, Kind> | undefined {
  if (types.some((metrics) => metrics.size === 0)) return undefined;
  const [first = new Map<string, Kind>(), ...rest] = types;
  return new Map([...first].filter(([name, kind]) => rest.every((metrics) => metrics.get(name) === kind)));
}
