/**
 * `replayDeadLetters` and `discardDeadLetters`: one transaction of the letters and the event that tells of it. Only pending letters move, so that a
 * repetition moves none. A replay is done by the consumer that put the letter aside: `backbone/consumer/replay.ts`.
 */
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { consistencyTokenOf } from '../../../backbone/events/consistency-token.js';
import { makeEvent } from '../../../backbone/events/envelope.js';
import { append } from '../../../backbone/store/event-store.js';
import { inTransaction } from '../../../platform/database/sql.js';
import type { RequestContext } from '../../../platform/graphql/context.js';
import { movePending, type DeadLetterSelection } from './dead-letter-rows.js';

export interface DeadLettersReply {
  /** How many it moved. */
  readonly count: number;
  readonly consistencyToken: string;
}

export interface DeadLetterMutations {
  replay(caller: Caller, selection: DeadLetterSelection): Promise<DeadLettersReply>;
  discard(caller: Caller, selection: DeadLetterSelection): Promise<DeadLettersReply>;
}

type Caller = Pick<RequestContext, 'identity' | 'traceparent' | 'correlationId' | 'clientAddress'>;

/** An event names at most so many letters. */
const maxNamed = 100;

export function createDeadLetterMutations(options: { pool: pg.Pool; wakeRelay: () => void }): DeadLetterMutations {
  const move = async (
    caller: Caller,
    selection: DeadLetterSelection,
    to: 'REPLAYING' | 'DISCARDED',
  ): Promise<DeadLettersReply> => {
    const { tenant, subject: actor } = caller.identity;
    const requestId = randomUUID();
    const done = await inTransaction(options.pool, async (sql) => {
      const moved = await movePending(sql, tenant, selection, to);
      const { ids: _named, ...filter } = selection;
      const event = makeEvent({
        type:
          to === 'REPLAYING'
            ? 'io.fleetgraph.dead-letters.replay-requested.v1'
            : 'io.fleetgraph.dead-letters.discarded.v1',
        source: '/actions',
        subject: requestId,
        tenant,
        actor,
        clientaddress: caller.clientAddress,
        traceparent: caller.traceparent,
        correlationid: caller.correlationId,
        data: {
          requestId,
          count: moved.length,
          deadLetterIds: moved.slice(0, maxNamed),
          filter: JSON.parse(JSON.stringify(filter)) as Record<string, never>,
        },
      });
      await append(sql, { tenant, stream: `dead-letters-${requestId}`, expectedRevision: 0, events: [event] });
      return { count: moved.length, consistencyToken: consistencyTokenOf(event.id) };
    });
    options.wakeRelay();
    return done;
  };
  return {
    replay: (caller, selection) => move(caller, selection, 'REPLAYING'),
    discard: (caller, selection) => move(caller, selection, 'DISCARDED'),
  };
}
