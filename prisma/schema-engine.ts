/**
 * Prisma's schema engine as WebAssembly (a development dependency): what `prisma migrate` does with its native engine,
 * where that can't be downloaded. It authors migrations and shows that they agree with schema.prisma.
 */
import { PrismaPg } from '@prisma/adapter-pg';
import {
  bindMigrationAwareSqlAdapterFactory,
  ColumnTypeEnum,
  type SqlDriverAdapter,
} from '@prisma/driver-adapter-utils';
import * as bindings from '@prisma/schema-engine-wasm/schema_engine_bg';
import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';

interface WasmExports {
  __wbindgen_start(): void;
}

const schemaFile = fileURLToPath(new URL('./schema.prisma', import.meta.url));
const migrationsDirectory = fileURLToPath(new URL('./migrations', import.meta.url));

/** Our own book-keeping table: not in schema.prisma, for Prisma knows it by itself. */
const filters = { externalTables: ['public._prisma_migrations'], externalEnums: [] };

/**
 * The SQL that would bring the migrations to schema.prisma; undefined when they agree. The server at `url` is where the
 * engine makes, and drops again, the shadow database that it replays the migrations in. `schema` stands in for the text of schema.prisma.
 */
export async function missingSql(url: string, schema?: string): Promise<string | undefined> {
  const content = schema ?? (await readFile(schemaFile, 'utf8'));
  return withEngine(url, async (engine) => {
    const result = await engine.diff({
      from: { tag: 'migrations', ...(await migrationsList()) },
      to: { tag: 'schemaDatamodel', files: [{ path: 'schema.prisma', content }] },
      script: true,
      exitCode: true,
      filters,
    });
    return result.exitCode === 0 ? undefined : (result.stdout ?? '');
  });
}

/** What `prisma migrate status` finds at `url`: names of migrations that it takes for failed, edited or not yet applied. */
export async function migrationTroubles(url: string): Promise<readonly string[]> {
  return withEngine(url, async (engine) => {
    const history = await engine.diagnoseMigrationHistory({
      migrationsList: await migrationsList(),
      optInToShadowDatabase: false,
      filters,
    });
    const behind = history.history === null ? [] : [JSON.stringify(history.history)];
    return [
      ...history.failedMigrationNames,
      ...history.editedMigrationNames,
      ...behind,
      ...(history.hasMigrationsTable ? [] : ['no migrations table']),
    ];
  });
}

/**
 * The adapter of Prisma with a shadow database that works: the original splits scripts at every semicolon, those inside
 * function bodies too, and drops the database while it is still connected to it.
 */
class ShadowedPrismaPg extends PrismaPg {
  readonly #url: string;

  constructor(url: string) {
    super({ connectionString: url });
    this.#url = url;
  }

  override async connectToShadowDb() {
    const name = `prisma_shadow_${randomBytes(6).toString('hex')}`;
    await onServer(this.#url, `CREATE DATABASE ${name}`);
    const shadowUrl = new URL(this.#url);
    shadowUrl.pathname = `/${name}`;
    const shadow = await new PrismaPg({ connectionString: shadowUrl.toString() }).connect();
    readSingleCharacters(shadow);
    const disconnect = shadow.dispose.bind(shadow);
    shadow.executeScript = (script: string) => onServer(shadowUrl.toString(), script);
    shadow.dispose = async () => {
      await disconnect();
      await onServer(this.#url, `DROP DATABASE ${name} WITH (FORCE)`);
    };
    return shadow;
  }
}

/** The catalogue of PostgreSQL uses the type "char" (OID 18), for which the adapter has no column type: it gets one here. */
function readSingleCharacters(shadow: SqlDriverAdapter & { underlyingDriver(): pg.Pool }): void {
  const pool = shadow.underlyingDriver();
  const singleCharacterColumns = new Set<string>();
  const query = pool.query.bind(pool) as (...args: unknown[]) => Promise<pg.QueryResult>;
  const patchedQuery = async (...args: unknown[]): Promise<pg.QueryResult> => {
    const result = await query(...args);
    for (const field of result.fields) {
      if (field.dataTypeID !== 18) continue;
      field.dataTypeID = pg.types.builtins.TEXT;
      singleCharacterColumns.add(field.name);
    }
    return result;
  };
  Object.assign(pool, { query: patchedQuery });
  const queryRaw = shadow.queryRaw.bind(shadow);
  shadow.queryRaw = async (sqlQuery) => {
    const result = await queryRaw(sqlQuery);
    const columnTypes = result.columnTypes.map((type, index) =>
      singleCharacterColumns.has(result.columnNames[index] ?? '') ? ColumnTypeEnum.Character : type,
    );
    return { ...result, columnTypes };
  };
}

async function onServer(url: string, script: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(script);
  } finally {
    await client.end();
  }
}

async function migrationsList() {
  const entries = await readdir(migrationsDirectory, { withFileTypes: true });
  const names = entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
  const read = (path: string) => readFile(`${migrationsDirectory}/${path}`, 'utf8');
  return {
    baseDir: migrationsDirectory,
    lockfile: { path: 'migration_lock.toml', content: await read('migration_lock.toml') },
    shadowDbInitScript: '',
    migrationDirectories: await Promise.all(
      names.map(async (path) => ({
        path,
        migrationFile: {
          path: 'migration.sql',
          content: { tag: 'ok' as const, value: await read(`${path}/migration.sql`) },
        },
      })),
    ),
  };
}

async function withEngine<T>(url: string, work: (engine: bindings.SchemaEngine) => Promise<T>): Promise<T> {
  await (instantiated ??= instantiate());
  const content = await readFile(schemaFile, 'utf8');
  const adapter = bindMigrationAwareSqlAdapterFactory(new ShadowedPrismaPg(url));
  const engine = await bindings.SchemaEngine.new(
    { datamodels: [['schema.prisma', content]] },
    () => undefined,
    adapter,
  );
  try {
    return await work(engine);
  } finally {
    engine.free();
  }
}

/** Once a process: the bindings hold the one instance. */
let instantiated: Promise<void> | undefined;

/** The package's entry imports the WebAssembly as a module, which Node.js 20 can't. */
async function instantiate(): Promise<void> {
  // Node.js has the global; the compiler's DOM library, which would declare it, is not in use here.
  const wasm = (
    globalThis as unknown as {
      WebAssembly: { instantiate(bytes: Uint8Array, imports: object): Promise<{ instance: { exports: WasmExports } }> };
    }
  ).WebAssembly;
  const file = new URL('schema_engine_bg.wasm', import.meta.resolve('@prisma/schema-engine-wasm/schema_engine_bg'));
  const { instance } = await wasm.instantiate(await readFile(file), { './schema_engine_bg.js': bindings });
  bindings.__wbg_set_wasm(instance.exports);
  instance.exports.__wbindgen_start();
}
