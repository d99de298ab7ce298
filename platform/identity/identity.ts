/** Who is calling: always from a verified token or device credential, never from an argument. */
export interface Identity {
  readonly tenant: string;
  /** `sub` of the token, or the device id. */
  readonly subject: string;
  readonly scopes: ReadonlySet<Scope>;
  /** Epoch milliseconds at which the identity ends. */
  readonly expiresAtMs: number;
  /** What the token says beyond our own scopes, for the fields of a graph that asks for it. */
  readonly claims?: {
    /** All scopes, also those that are none of ours. */
    readonly scopes: ReadonlySet<string>;
    /** What the issuer has decided (`policies`), for `@policy`. */
    readonly policies: ReadonlySet<string>;
  };
  /**
   * Digest of the claims by which subgraphs may answer this caller otherwise than others with the same tenant, scopes and
   * policies. Absent where the subgraphs are known to look at nothing else.
   */
  readonly claimsDigest?: string;
  /** Labels of `@override` that are on for the caller, where a setting names their claim. */
  readonly overrideLabels?: ReadonlySet<string>;
}

/** Whether subgraphs answer both alike, as far as the gateway can know: then the two may share what is read. */
export function sameAuthority(one: Identity, other: Identity): boolean {
  return one.tenant === other.tenant && authorityOf(one) === authorityOf(other);
}

/** All that a token says in its tenant, as a text: equal for those whom subgraphs answer alike. */
export function authorityOf({ scopes: own, claims, claimsDigest = '' }: Identity): string {
  const [all, policies] = [claims?.scopes ?? own, claims?.policies ?? []];
  return `${[...all].sort().join(' ')}\n${[...policies].sort().join(' ')}\n${claimsDigest}`;
}

/** The closed list of scopes, with what each allows. */
export const scopes = {
  'device:read': 'Read devices, device types and their twins.',
  'device:write': 'Register, change and decommission devices; define device types; rotate credentials.',
  'command:read': 'Read commands.',
  'command:send': 'Send and cancel commands.',
  'telemetry:read': 'Read state, presence and history; subscribe to them.',
  'telemetry:write': 'Ingest telemetry over HTTP for any device of the tenant.',
  'rule:read': 'Read rules; test them against history.',
  'rule:write': 'Write, change and delete rules.',
  'alert:read': 'Read alerts; subscribe to them.',
  'alert:write': 'Acknowledge, clear and comment on alerts.',
  'event:read': 'Read and subscribe to the event log.',
  'dead-letter:read': 'Read the records of the tenant that a consumer could not process, with their payload.',
  'dead-letter:write': 'Have them processed again, or discard them.',
  'webhook:read': 'Read webhooks and the log of their deliveries.',
  'webhook:write': 'Create, change, pause, test and delete webhooks; rotate their secrets; deliver again.',
} as const;

export type Scope = keyof typeof scopes;
export const allScopes = Object.keys(scopes) as readonly Scope[];

export function isScope(value: string): value is Scope {
  return Object.hasOwn(scopes, value);
}

/** A tenant is a path segment of MQTT topics and a key everywhere: letters, digits, `-` and `_`, at most 64. */
export const tenantPattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
