import type { Decoder } from './decoder.js';
import { jsonDecoder } from './json.js';
import { senmlDecoder } from './senml.js';

/** Every decoder that a device type can name. */
const decoders: ReadonlyMap<string, Decoder> = new Map(
  [jsonDecoder, senmlDecoder].map((decoder) => [decoder.name, decoder]),
);

export function findDecoder(name: string): Decoder | undefined {
  return decoders.get(name);
}
