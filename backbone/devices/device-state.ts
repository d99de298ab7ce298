/** What the desired and the reported state of a device may be: the device role and the bridge hold them to the same. */
import { jsonFault, type JsonObject } from '../../platform/database/storable.js';

const maxStateBytes = 65_536;
const maxStateDepth = 32;

/** Why the state can't be kept, as the rest of a sentence; undefined if it can. */
export function stateFault(state: JsonObject): string | undefined {
  const found = jsonFault(state, 'state', maxStateDepth);
  if (found) return found.fault;
  const bytes = Buffer.byteLength(JSON.stringify(state));
  return bytes > maxStateBytes ? `is ${bytes} bytes of JSON; at most ${maxStateBytes} are kept` : undefined;
}
