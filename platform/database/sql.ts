/** The narrow port of everything that writes SQL by hand: a pool, one connection in a transaction, or Prisma's transaction. */
import type pg from 'pg';
import { isReadTimeout } from './transient.js';

/** Runs one statement with positional parameters (`$1`) and returns its rows. */
export interface Sql {
  query<Row>(text: string, parameters?: readonly unknown[]): Promise<Row[]>;
}

/** What Prisma's client and its interactive transaction have in common for raw statements. */
interface PrismaRaw {
  $queryRawUnsafe<T>(query: string, ...values: unknown[]): Promise<T>;
}

/** A pool or connection of `pg` as `Sql`. */
export function sqlOf(connection: pg.Pool | pg.ClientBase): Sql {
  return {
    async query<Row>(text: string, parameters: readonly unknown[] = []): Promise<Row[]> {
      const result = await connection.query(text, [...parameters]);
      return result.rows as Row[];
    },
  };
}

/** A Prisma transaction as `Sql`, so that hand-written SQL joins it. Cast every parameter in the text (`$1::text`). */
export function sqlOfPrisma(transaction: PrismaRaw): Sql {
  return {
    query: <Row>(text: string, parameters: readonly unknown[] = []): Promise<Row[]> =>
      transaction.$queryRawUnsafe<Row[]>(text, ...parameters),
  };
}

/**
 * Runs `work` in one transaction on one connection: commits when it resolves, rolls back when it rejects.
 * @throws what `work` throws, or the driver's error.
 */
export async function inTransaction<T>(
  pool: pg.Pool,
  work: (sql: Sql, client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  // A connection that is lost between two statements says so by this event, which ends the process if nobody listens
  // (the pool does so only while the connection is idle). The next statement fails then.
  const onLost = (error: Error): void => {
    broken = error;
  };
  client.on('error', onLost);
  try {
    await client.query('BEGIN');
    const result = await work(sqlOf(client), client);
    await client.query('COMMIT');
    return result;
  } catch (error) {
    // Nobody answers on it: a ROLLBACK would wait for as long again. The server rolls back when it finds the connection gone.
    if (isReadTimeout(error)) broken ??= error;
    else
      await client.query('ROLLBACK').catch((rollbackError: unknown) => {
        broken ??= rollbackError instanceof Error ? rollbackError : new Error(String(rollbackError));
      });
    throw error;
  } finally {
    // A connection that is lost or could not roll back must not go back to the pool.
    client.release(broken);
    client.off('error', onLost);
  }
}

/** First row of a statement that always returns one. */
export function only<Row>(rows: readonly Row[]): Row {
  const [row] = rows;
  if (row === undefined) throw new Error('A statement that returns one row returned none.');
  return row;
}
