/**
 * How the bus talks to PostgreSQL: each statement is prepared once for each connection, and has a deadline, so that a
 * server that neither answers nor closes the connection can't hold a publisher or a consumer for ever.
 */
import type pg from 'pg';

/** A statement with a name, which must stand for one text only. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

export interface Statements {
  /** Runs a statement. @returns its rows, and how many it returned or changed. */
  run<Row>(statement: Statement, values: readonly unknown[], deadlineMs?: number): Promise<Answer<Row>>;
}

export interface Answer<Row> {
  readonly rows: readonly Row[];
  readonly count: number;
}

/** `query_timeout` is read by pg for each query, but is missing in its types. */
type TimedQuery = pg.QueryConfig<unknown[]> & { readonly query_timeout: number };

const defaultDeadlineMs = 30_000;

/** Statements on a pool. A statement that misses its deadline (milliseconds) rejects, and its connection is closed. */
export function statementsOn(pool: pg.Pool): Statements {
  return {
    async run<Row>(
      { name, text }: Statement,
      values: readonly unknown[],
      deadlineMs = defaultDeadlineMs,
    ): Promise<Answer<Row>> {
      const query: TimedQuery = {
        name: `fleetgraph_bus_${name}`,
        text,
        values: [...values],
        query_timeout: deadlineMs,
      };
      const { rows, rowCount } = await pool.query(query);
      return { rows: rows as Row[], count: rowCount ?? 0 };
    },
  };
}
