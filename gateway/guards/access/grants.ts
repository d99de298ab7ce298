/** What a caller may: from the verified token alone. */
import type { Identity } from '../../../platform/identity/identity.js';
import type { Demand } from './access-rules.js';

export interface Grants {
  readonly hasToken: boolean;
  readonly scopes: ReadonlySet<string>;
  readonly policies: ReadonlySet<string>;
}

const nothing: ReadonlySet<string> = new Set();

export function grantsOf(identity: Identity | undefined): Grants {
  return {
    hasToken: identity !== undefined,
    scopes: identity?.claims?.scopes ?? identity?.scopes ?? nothing,
    policies: identity?.claims?.policies ?? nothing,
  };
}

export function isMet({ kind, anyOf }: Demand, grants: Grants): boolean {
  if (!grants.hasToken) return false;
  if (kind === 'token') return true;
  const granted = grants[kind];
  return anyOf.some((all) => all.every((one) => granted.has(one)));
}
