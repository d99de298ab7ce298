import { readConfig } from '../platform/config/config.js';
import { StartupError } from '../platform/errors.js';
import { openDevelopmentIssuer } from '../platform/identity/development-issuer.js';
import { allScopes, isScope, type Scope } from '../platform/identity/identity.js';

/** Prints a token of this machine's development issuer. Scopes may be separated by spaces or commas. */
export async function token(options: {
  tenant: string;
  scope?: string[];
  subject: string;
  lifetime: number;
}): Promise<void> {
  console.log(await developmentToken({ ...options, scopes: parseScopes(options.scope) }));
}

/** A token of the development issuer of the configured data directory. @throws StartupError when tokens come from elsewhere. */
export async function developmentToken(options: {
  tenant: string;
  subject: string;
  lifetime: number;
  scopes?: readonly Scope[];
}): Promise<string> {
  const config = readConfig();
  if (config.identity.jwksUrl !== undefined) {
    throw new StartupError(
      "Tokens come from the issuer behind JWKS_URL; the development issuer can't make one that is accepted.",
    );
  }
  const issuer = await openDevelopmentIssuer({ dataDirectory: config.dataDirectory, ...config.identity });
  return issuer.issue({
    tenant: options.tenant,
    subject: options.subject,
    scopes: options.scopes ?? allScopes,
    lifetimeSeconds: options.lifetime,
  });
}

function parseScopes(given: readonly string[] | undefined): readonly Scope[] {
  if (given === undefined) return allScopes;
  return given
    .flatMap((value) => value.split(/[\s,]+/))
    .filter((value) => value !== '')
    .map((value) => {
      if (!isScope(value)) throw new StartupError(`"${value}" is not a scope. Scopes are ${allScopes.join(', ')}.`);
      return value;
    });
}
