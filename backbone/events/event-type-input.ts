/** Types of events in the arguments of clients. */
import { FleetgraphError } from '../../platform/errors.js';
import { domainEventTypes } from './catalogue.js';

const known: ReadonlySet<string> = new Set(domainEventTypes);
/** A name that is refused is shown to this length. */
const maxShown = 80;

/**
 * Types of the event log. A misspelt one would never match, without a word.
 * @throws FleetgraphError BAD_USER_INPUT that names the first one at fault, e.g. `filter.types[1]`.
 */
export function readEventTypes(types: readonly string[], field: string): readonly string[] {
  types.forEach((type, index) => {
    if (!known.has(type))
      throw unknownEventType(`${field}[${index}]`, type, 'e.g. "io.fleetgraph.device.registered.v1"');
  });
  return types;
}

/** What is said of a type that no domain event has. `remedy` follows "write a type of docs/events.md, ". */
export function unknownEventType(field: string, type: string, remedy: string): FleetgraphError {
  return new FleetgraphError(
    'BAD_USER_INPUT',
    `${field} is ${JSON.stringify(type.slice(0, maxShown))}, which no domain event has; write a type of docs/events.md, ${remedy}.`,
    { field },
  );
}
