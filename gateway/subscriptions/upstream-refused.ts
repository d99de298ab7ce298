/**
 * The subgraph refuses the gateway's connection for subscriptions. The connection carries no token
 * of a client, so neither a new token nor a retry of the client helps: the code must not invite
 * one.
 */
import { CloseCode } from 'graphql-ws';
import { FleetgraphError } from '../../platform/errors.js';

export class UpstreamRefused extends FleetgraphError {
  /** @param reason for the log alone */
  constructor(subgraph: string, code: 'FORBIDDEN' | 'INTERNAL_SERVER_ERROR', reason: string) {
    const what =
      code === 'FORBIDDEN'
        ? `The subgraph "${subgraph}" refuses the gateway's connection for subscriptions`
        : `The gateway and the subgraph "${subgraph}" do not agree on how to subscribe`;
    super(code, `${what}. The log of the gateway has the cause.`, { cause: new Error(reason) });
    this.name = 'UpstreamRefused';
  }
}

const refusals = new Set<number>([CloseCode.Unauthorized, CloseCode.Forbidden]);
/** Fatal for clients of graphql-ws, too: a retry meets the same fault. */
const disagreements = new Set<number>([
  ...[CloseCode.BadRequest, CloseCode.BadResponse, CloseCode.InternalClientError, CloseCode.SubprotocolNotAcceptable],
  ...[CloseCode.SubscriberAlreadyExists, CloseCode.TooManyInitialisationRequests],
  // Of RFC 6455, 7.4.1: protocol, type of data, encoding, policy, size, extension.
  ...[1002, 1003, 1007, 1008, 1009, 1010],
]);

/** Why a connection was closed. @returns UpstreamRefused if a retry does not help. */
export function closedWith(subgraph: string, code: number, said: string): Error {
  const reason = `The subgraph closed the connection with ${code}${said === '' ? '' : ` "${said}"`}.`;
  if (refusals.has(code)) return new UpstreamRefused(subgraph, 'FORBIDDEN', reason);
  if (disagreements.has(code)) return new UpstreamRefused(subgraph, 'INTERNAL_SERVER_ERROR', reason);
  return new Error(reason);
}

/** Why an upgrade failed, by its status. @returns UpstreamRefused if a retry does not help. */
export function upgradeAnsweredWith(subgraph: string, status: number): Error {
  const reason = `The subgraph answered the upgrade to a WebSocket with ${status}.`;
  if (status === 401 || status === 403) return new UpstreamRefused(subgraph, 'FORBIDDEN', reason);
  const mayPass = status >= 500 || status === 408 || status === 425 || status === 429;
  return mayPass ? new Error(reason) : new UpstreamRefused(subgraph, 'INTERNAL_SERVER_ERROR', reason);
}
