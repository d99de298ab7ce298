/** What the gateway knows of a request, and what it passes on to subgraphs. */
import { createHash, randomUUID } from 'node:crypto';
import { FleetgraphError } from '../platform/errors.js';
import type { Identity } from '../platform/identity/identity.js';
import { bearerToken, type VerifyToken } from '../platform/identity/verify-token.js';
import type { OverrideChoice } from './supergraph/override-labels.js';

/** A fetch from a subgraph. */
export interface FetchTiming {
  readonly subgraph: string;
  /** As `performance.now()` says it. */
  readonly startedAt: number;
  readonly ms: number;
}

export interface GatewayContext extends OverrideChoice {
  /** Absent only for introspection on a development machine, which reaches no subgraph. */
  readonly identity?: Identity;
  /** Headers of each request to a subgraph. */
  readonly forwarded: Readonly<Record<string, string>>;
  /** In whose name subgraphs are asked: made, and kept here, when it is first needed. */
  authority?: string;
  /** Takes the fetches that are made, where somebody wants to know of them. */
  readonly timings?: FetchTiming[];
}

/** The last moment that a Date can be. */
const lastMs = 8_640_000_000_000_000;

/** Values as headers or as `extensions` of an operation over WebSocket carry them. */
export interface Credentials {
  readonly authorization: string | undefined;
  readonly consistencyToken?: string | undefined;
  readonly traceparent?: string | undefined;
  readonly correlationId?: string | undefined;
  readonly clientAddress?: string | undefined;
  /** Labels of `@override` with commas or spaces between them, where a setting lets requests ask for them. */
  readonly overrideLabels?: string | undefined;
}

/**
 * The context of an operation.
 * @param verifyToken undefined: nobody is asked who they are, and the subgraphs are sent what came.
 * @throws FleetgraphError UNAUTHENTICATED without a good token.
 */
export async function createContext(
  credentials: Credentials,
  verifyToken: VerifyToken | undefined,
): Promise<GatewayContext & { readonly identity: Identity }> {
  if (!verifyToken) return contextFor(anyone(credentials.authorization), credentials);
  const token = bearerToken(credentials.authorization);
  if (token === undefined) throw new FleetgraphError('UNAUTHENTICATED', 'Send "Authorization: Bearer <token>".');
  const identity = await verifyToken(token);
  const authorization = `Bearer ${token}`;
  // The text that came, if it is that already: a connection holds it, and each of its operations.
  const given = credentials.authorization === authorization ? credentials.authorization : authorization;
  return contextFor(identity, { ...credentials, authorization: given });
}

function contextFor(identity: Identity, credentials: Credentials): GatewayContext & { readonly identity: Identity } {
  const overrideLabels = labelsAskedFor(credentials.overrideLabels, identity.overrideLabels);
  const context = { identity, forwarded: forwardedHeaders(credentials), overrideDraw: Math.random() * 100 };
  return overrideLabels ? { ...context, overrideLabels } : context;
}

/** Labels of `@override` that are on for a request, by what it says and by its token. */
function labelsAskedFor(
  given: string | undefined,
  ofToken: ReadonlySet<string> | undefined,
): ReadonlySet<string> | undefined {
  if (given === undefined) return ofToken;
  return new Set([...given.split(/[\s,]+/), ...(ofToken ?? [])]);
}

/**
 * Who comes to a gateway that asks nobody. What two may share is decided by tenant and scopes: those whose subgraphs would be
 * sent different credentials must not, so they are different tenants.
 */
function anyone(authorization: string | undefined): Identity {
  return authorization === undefined ? nobody : new Bearer(authorization);
}

const noScopes: Identity['scopes'] = new Set();
const nobody: Identity = { tenant: 'anyone', subject: 'anyone', scopes: noScopes, expiresAtMs: lastMs };

/** The tenant is a hash, which a query needs nothing of: only streams and connections are counted by it. */
class Bearer implements Identity {
  readonly subject = 'anyone';
  readonly scopes = noScopes;
  readonly expiresAtMs = lastMs;
  readonly #authorization: string;
  #tenant: string | undefined;

  constructor(authorization: string) {
    this.#authorization = authorization;
  }

  get tenant(): string {
    this.#tenant ??= `anyone-${createHash('sha256').update(this.#authorization).digest('base64url').slice(0, 22)}`;
    return this.#tenant;
  }
}

/** What the `extensions` of an operation say beside its token, which is that of its connection. */
export function credentialsIn(
  extensions: Readonly<Record<string, unknown>> | undefined,
  mayAskForOverrides: boolean,
): Pick<Credentials, 'consistencyToken' | 'traceparent' | 'correlationId' | 'overrideLabels'> {
  const text = (name: string): string | undefined => {
    const value = extensions?.[name];
    return typeof value === 'string' && value.length <= 512 ? value : undefined;
  };
  return {
    consistencyToken: text('consistencyToken'),
    traceparent: text('traceparent'),
    correlationId: text('correlationId'),
    overrideLabels: mayAskForOverrides ? text('overrideLabels') : undefined,
  };
}

function forwardedHeaders(credentials: Credentials): Record<string, string> {
  const { authorization, consistencyToken, traceparent, correlationId, clientAddress } = credentials;
  const headers: Record<string, string> = { 'x-correlation-id': correlationId ?? randomUUID() };
  if (authorization !== undefined) headers['authorization'] = authorization;
  if (consistencyToken !== undefined) headers['x-fleetgraph-consistency'] = consistencyToken;
  if (traceparent !== undefined) headers['traceparent'] = traceparent;
  if (clientAddress !== undefined) headers['x-fleetgraph-client-address'] = clientAddress;
  return headers;
}
