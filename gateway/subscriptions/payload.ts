/** A payload as it goes to every client of a stream: executed once, written once. */

export interface StreamPayload {
  /** JSON of the execution result, UTF-8. Shared: nobody may write into it. */
  readonly bytes: Buffer;
  /** Number of the change that it tells of; undefined for a part of a snapshot, and where the subgraph doesn't say. */
  readonly position: bigint | undefined;
  /** Where a client that has it goes on. */
  readonly cursor: string | undefined;
  /** What it is the state of: a later payload of the same key makes it obsolete. Undefined where each payload counts. */
  readonly key: string | undefined;
}

/** Where in its stream a payload is, as the subgraph says it. */
type Place = { readonly position?: string; readonly cursor?: string; readonly key?: string } | undefined;

/** A result that is written already. */
export function placed(bytes: Buffer, place: Place): StreamPayload {
  return {
    bytes,
    position: place?.position === undefined ? undefined : BigInt(place.position),
    cursor: place?.cursor,
    key: place?.key,
  };
}

/** The one result of an operation that is no subscription, as JSON. */
export function payloadOfText(text: string): StreamPayload {
  return { bytes: Buffer.from(text), position: undefined, cursor: undefined, key: undefined };
}
