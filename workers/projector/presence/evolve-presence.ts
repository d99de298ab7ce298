/**
 * Presence as a function of what was heard. A session is the time of a connect, so sessions of one device grow.
 * Invariant: the device is online exactly if the newest session that was heard of has begun and has not ended; a message
 * that is late, repeated or out of order never changes that.
 */
export interface Presence {
  readonly online: boolean;
  /** Session heard from last, epoch milliseconds; 0 before the first. */
  readonly session: number;
  /** Epoch milliseconds; null if never heard from. */
  readonly lastSeenMs: number | null;
}

export type PresenceMessage =
  | { readonly kind: 'online' | 'offline'; readonly session: number; readonly atMs: number }
  /** The broker (re)started at `session`: connections made before it are gone. */
  | { readonly kind: 'reset'; readonly session: number };

/** Presence after the message; the same object if the message changes nothing. */
export function evolve(presence: Presence, message: PresenceMessage): Presence {
  switch (message.kind) {
    case 'online':
      // Of an equal session this is a repetition, or came after its own end: a session begins once.
      return message.session > presence.session ? heard(presence, message, true) : presence;
    case 'offline':
      // Of a newer session: its begin was missed, but it has ended all the same.
      if (message.session < presence.session) return presence;
      return presence.online || message.session > presence.session ? heard(presence, message, false) : presence;
    case 'reset':
      // One less than the reset: a connect in the very millisecond of the start counts as after it.
      return presence.online && presence.session < message.session
        ? { ...presence, online: false, session: message.session - 1 }
        : presence;
  }
}

function heard(presence: Presence, message: { session: number; atMs: number }, online: boolean): Presence {
  return { online, session: message.session, lastSeenMs: Math.max(presence.lastSeenMs ?? 0, message.atMs) };
}
