import { FleetgraphError } from '../../platform/errors.js';

/** Longest name of a metric that the bridge takes, in UTF-16 units. */
const maxMetricName = 128;

/**
 * The name of a metric, as a client asks for it. Any name that a device may send is right, whether it has sent it or not: devices
 * may send metrics that their type does not declare.
 * @throws FleetgraphError BAD_USER_INPUT for a name that no metric can have.
 */
export function readMetricName(name: string, field: string): string {
  if (name.length >= 1 && name.length <= maxMetricName) return name;
  throw new FleetgraphError('BAD_USER_INPUT', `${field} must be 1 to ${maxMetricName} characters.`, { field });
}

/** Several of them. @throws as `readMetricName`, naming the first one at fault, e.g. `metrics[1]`. */
export function readMetricNames(names: readonly string[], field: string): readonly string[] {
  return names.map((name, index) => readMetricName(name, `${field}[${index}]`));
}
