import type { Identity } from '../identity/identity.js';

/** What every resolver of every subgraph gets beside its own loaders. */
export interface RequestContext {
  readonly identity: Identity;
  /** Consistency token that the client sent back (`x-fleetgraph-consistency`), for read-your-writes. */
  readonly consistencyToken: string | undefined;
  readonly traceparent: string | undefined;
  /** Where the client called the gateway from, as far as it is known. For the audit alone: nothing is allowed because of it. */
  readonly clientAddress: string | undefined;
  /** Id that all events of one request share. */
  readonly correlationId: string;
}
