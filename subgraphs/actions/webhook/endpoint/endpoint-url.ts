/** The URL of an endpoint, checked when it is given. Whether its name leads somewhere private is checked at each connection. */
import { FleetgraphError } from '../../../../platform/errors.js';
import type { AddressGuard } from './address-guard.js';

const maxLength = 2_048;

/** The URL in its normal form. @throws FleetgraphError BAD_USER_INPUT that says what is wrong with it. */
export function readEndpointUrl(
  text: string,
  field: string,
  rules: { readonly allowHttp: boolean; readonly guard: Pick<AddressGuard, 'refusal'> },
): string {
  const refuse = (what: string): never => {
    throw new FleetgraphError('BAD_USER_INPUT', `${field} ${what}.`, { field });
  };
  if (text.length > maxLength) refuse(`has ${text.length} characters; at most ${maxLength} are taken`);
  if (!URL.canParse(text)) refuse('is no URL; write one like "https://example.com/hooks"');
  const url = new URL(text);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && rules.allowHttp))
    refuse(
      url.protocol === 'http:'
        ? 'must begin with "https://": plain http is not allowed here (WEBHOOK_ALLOW_HTTP)'
        : `must begin with "https://", not with "${url.protocol}"`,
    );
  if (url.username !== '' || url.password !== '')
    refuse('has a user name or password in it; what comes from fleetgraph is known by its signature');
  if (url.hash !== '') refuse('has a fragment ("#…"), which is never sent');
  // URL has turned 0x7f.1, 2130706433 and the like into the address that they mean.
  const why = rules.guard.refusal(url.hostname);
  if (why !== undefined)
    refuse(`leads to ${url.hostname}, which ${why}. An operator can allow it with WEBHOOK_ALLOWED_HOSTS`);
  return url.toString();
}
