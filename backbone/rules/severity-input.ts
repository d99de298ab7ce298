/** Severities in the arguments of clients that are text, not the enum. */
import { FleetgraphError } from '../../platform/errors.js';
import { ruleSeverity, type RuleSeverity } from './definition.js';

/** @throws FleetgraphError BAD_USER_INPUT that names the first one at fault, e.g. `filter.severity[0]`, and what is possible. */
export function readSeverities(severities: readonly string[], field: string): readonly RuleSeverity[] {
  return severities.map((text, index) => {
    const { data } = ruleSeverity.safeParse(text);
    if (data !== undefined) return data;
    const place = `${field}[${index}]`;
    throw new FleetgraphError('BAD_USER_INPUT', `${place} must be one of ${ruleSeverity.options.join(', ')}.`, {
      field: place,
    });
  });
}
