/** Tables that are filled beside the live ones, and take their place. */
import type { Sql } from '../../../platform/database/sql.js';

/** Makes the schema `replay` with tables like the live ones: the same columns, indexes (with their names) and settings. */
export async function createShadows(sql: Sql, tables: readonly string[]): Promise<void> {
  await sql.query('CREATE SCHEMA replay');
  for (const table of tables) {
    // DDL takes no parameters; the names are ours.
    await sql.query(`CREATE TABLE replay.${table} (LIKE projections.${table} INCLUDING ALL)`);
    const [settings] = await sql.query<{ list: string | null }>(
      `SELECT array_to_string(reloptions, ', ') AS list FROM pg_class WHERE oid = 'projections.${table}'::regclass`,
    );
    if (settings?.list) await sql.query(`ALTER TABLE replay.${table} SET (${settings.list})`);
  }
}

/** Puts the shadows in the place of the live tables, with the rights on them. Who reads them waits until the transaction commits. */
export async function switchOver(sql: Sql, tables: readonly string[]): Promise<void> {
  for (const table of tables) {
    const grants = await sql.query<{ statement: string }>(
      `SELECT format('GRANT %s ON projections.${table} TO %s', a.privilege_type,
                     CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END) AS statement
       FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = 'projections.${table}'::regclass AND a.grantee <> c.relowner`,
    );
    await sql.query(`DROP TABLE projections.${table}`);
    await sql.query(`ALTER TABLE replay.${table} SET SCHEMA projections`);
    for (const { statement } of grants) await sql.query(statement);
  }
}
