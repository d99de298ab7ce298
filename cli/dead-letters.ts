/** `fleetgraph dead-letters`: records that a consumer could not process, through the API, as any operator's program would. */
import { readConfig } from '../platform/config/config.js';
import { StartupError } from '../platform/errors.js';
import { createApiClient, type ApiClient } from './api-client.js';
import { developmentToken } from './token.js';

export interface DeadLetterOptions {
  readonly tenant: string;
  readonly gateway?: string;
  readonly token?: string;
  readonly consumer?: string;
  readonly type?: string;
  readonly cause?: string;
  readonly from?: string;
  readonly to?: string;
  readonly status?: string[];
  readonly limit?: number;
  readonly json?: boolean;
}

interface Listed {
  readonly id: string;
  readonly consumer: string;
  readonly type: string | null;
  readonly status: string;
  readonly attempts: number;
  readonly failedAt: string;
  readonly cause: string;
}

const pageSize = 200;

/** Prints letters, those that failed last first: a line each or, with `json`, an object a line with payload and stack. */
export async function listDeadLetters(options: DeadLetterOptions): Promise<void> {
  const api = await client(options);
  const limit = options.limit ?? 50;
  let after: string | null = null;
  let left = limit;
  do {
    const { deadLetters }: Page = await api.request<Page>(
      `query List($first: Int!, $after: String, $filter: DeadLetterFilter) {
        deadLetters(first: $first, after: $after, filter: $filter) {
          edges { node { id consumer topic partition offset key type status attempts failedAt cause stack payload headers } }
          pageInfo { hasNextPage endCursor } } }`,
      { first: Math.min(left, pageSize), after, filter: { ...filterOf(options), status: statusesOf(options) } },
    );
    for (const { node } of deadLetters.edges) console.log(options.json === true ? JSON.stringify(node) : lineOf(node));
    left -= deadLetters.edges.length;
    after = deadLetters.pageInfo.hasNextPage && left > 0 ? deadLetters.pageInfo.endCursor : null;
  } while (after !== null);
}

interface Page {
  readonly deadLetters: {
    readonly edges: readonly { readonly node: Listed }[];
    readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
  };
}

/** Asks for letters to be handled again: those with these ids or, without any, all that the options describe. */
export async function replayDeadLetters(ids: readonly string[], options: DeadLetterOptions): Promise<void> {
  const count = await move('replayDeadLetters', ids, options);
  console.log(`${count} dead letters are handled again; "fleetgraph dead-letters list" shows what becomes of them.`);
}

/** Sets letters aside for good: those with these ids or, without any, all that the options describe. */
export async function discardDeadLetters(ids: readonly string[], options: DeadLetterOptions): Promise<void> {
  console.log(`${await move('discardDeadLetters', ids, options)} dead letters are discarded.`);
}

async function move(field: string, ids: readonly string[], options: DeadLetterOptions): Promise<number> {
  const filter = filterOf(options);
  if (ids.length === 0 && Object.values(filter).every((value) => value === undefined))
    throw new StartupError('Name the dead letters: by their ids, or with --consumer, --type, --cause, --from or --to.');
  const api = await client(options);
  const data = await api.request<Record<string, { count: number }>>(
    `mutation Move($input: DeadLettersInput!) { ${field}(input: $input) { count } }`,
    { input: ids.length > 0 ? { ids } : { filter } },
  );
  return data[field]?.count ?? 0;
}

function filterOf({ consumer, type, cause, from, to }: DeadLetterOptions) {
  return { consumer, type, cause, from, to };
}

function statusesOf({ status }: DeadLetterOptions): readonly string[] {
  return (status ?? ['PENDING', 'REPLAYING']).map((name) => name.toUpperCase());
}

function lineOf({ id, consumer, type, status, attempts, failedAt, cause }: Listed): string {
  return [failedAt, id, status, consumer, type ?? 'no type', `${attempts} attempts`, cause.split('\n')[0]].join('  ');
}

async function client(options: DeadLetterOptions): Promise<ApiClient> {
  const config = readConfig();
  const token =
    options.token ?? (await developmentToken({ tenant: options.tenant, subject: 'operator', lifetime: 3_600 }));
  return createApiClient({ url: options.gateway ?? `http://${config.host}:${config.ports.gateway}`, token });
}
