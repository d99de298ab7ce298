/**
 * The token of a connection: in the payload of `connection_init`, and again in the payload of a `ping` when there is a new one.
 * A WebSocket has no headers of its own that a browser could set.
 */
import { CloseCode } from 'graphql-ws';
import { presentable } from '../../../platform/graphql/errors.js';
import type { Identity } from '../../../platform/identity/identity.js';
import type { GatewayContext } from '../../request-context.js';
import { tryAgainLater } from './client-socket.js';

export type TokenPayload = Readonly<Record<string, unknown>> | undefined;

/** The context of an operation. @throws FleetgraphError UNAUTHENTICATED without a good token. */
export type CreateContext = (
  authorization: string | undefined,
  extensions: Readonly<Record<string, unknown>> | undefined,
  clientAddress: string | undefined,
) => Promise<GatewayContext & { readonly identity: Identity }>;

/** With what a connection is closed. */
export interface Closing {
  readonly code: number;
  readonly reason: string;
}

export class ConnectionToken {
  readonly #createContext: CreateContext;
  readonly #clientAddress: string | undefined;
  #authorization: string | undefined;
  /** Tokens received so far, and which of them is held. */
  #turns = 0;
  #heldTurn = 0;

  constructor(createContext: CreateContext, clientAddress: string | undefined) {
    this.#createContext = createContext;
    this.#clientAddress = clientAddress;
  }

  /**
   * Verifies the token in the payload and holds it.
   * @returns its identity, or why the connection closes; undefined if a later token is held already
   */
  async take(payload: TokenPayload): Promise<Identity | Closing | undefined> {
    const authorization = authorizationOf(payload);
    const turn = (this.#turns += 1);
    try {
      const { identity } = await this.#createContext(authorization, undefined, this.#clientAddress);
      if (turn < this.#heldTurn) return undefined;
      this.#heldTurn = turn;
      this.#authorization = authorization;
      return identity;
    } catch (error) {
      if (turn < this.#heldTurn) return undefined;
      const known = presentable(error);
      return {
        code: known?.code === 'UNAVAILABLE' ? tryAgainLater : CloseCode.Forbidden,
        reason: known?.message ?? 'The token could not be verified.',
      };
    }
  }

  /** The context of an operation, with the token that the connection has now. @throws as `CreateContext` */
  async contextOf(extensions: Readonly<Record<string, unknown>> | undefined): Promise<GatewayContext> {
    for (;;) {
      const turn = this.#heldTurn;
      try {
        const context = await this.#createContext(this.#authorization, extensions, this.#clientAddress);
        if (turn === this.#heldTurn) return context;
      } catch (error) {
        if (turn === this.#heldTurn) throw error;
      }
      // A new token came meanwhile: try again with it.
    }
  }
}

/** The token in a payload: `authorization` (or `Authorization`) with "Bearer …", or `token` without; undefined if there is none. */
export function authorizationOf(payload: TokenPayload): string | undefined {
  const authorization = payload?.['authorization'] ?? payload?.['Authorization'];
  if (typeof authorization === 'string') return authorization;
  const token = payload?.['token'];
  return typeof token === 'string' ? `Bearer ${token}` : undefined;
}
