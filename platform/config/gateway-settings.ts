/** The settings of the gateway's guards: what one request may ask for, and who decides. */
import { z } from 'zod';
import { flag, nonNegativeInteger, positiveInteger } from './value-kinds.js';

/** `15000`, or `15000,reports=60000`: milliseconds for all, and for some by their names. */
const timeouts = z
  .string()
  .regex(/^[1-9]\d{0,8}(\s*,\s*\w[^\s,=]*\s*=\s*[1-9]\d{0,8})*$/, 'must be like 15000 or 15000,reports=60000');

/** `new-billing,percent(5)`: labels of `@override`, as composition takes them. */
const labels = z
  .string()
  .regex(
    /^\s*(percent\(\d+(\.\d+)?\)|[A-Za-z][\w\-:./]*)(\s*,\s*(percent\(\d+(\.\d+)?\)|[A-Za-z][\w\-:./]*))*\s*$/,
    'must be labels of @override with commas between them',
  );
const headerName = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'must be the name of a header');

/** How long a subgraph has to answer, all attempts of a fetch together. */
export interface SubgraphTimeouts {
  readonly allMs: number;
  /** Of those that have another one. */
  readonly byNameMs: Readonly<Record<string, number>>;
}

/** `auto`, or a number. */
const workers = z.union([z.literal('auto'), positiveInteger.max(256)], {
  error: 'must be auto, or a number up to 256',
});

/** In the order of the table in docs/configuration.md. */
export const gatewaySettings = {
  GATEWAY_WORKERS: workers.default(1),
  GATEWAY_MAX_BODY_BYTES: positiveInteger.default(1_572_864),
  GATEWAY_MAX_VARIABLES_BYTES: positiveInteger.default(1_048_576),
  GATEWAY_MAX_JSON_DEPTH: positiveInteger.max(1_000).default(32),
  GATEWAY_BODY_TIMEOUT_MS: positiveInteger.default(20_000),
  GATEWAY_REQUEST_TIMEOUT_MS: positiveInteger.default(60_000),
  GATEWAY_PLANNING_TIMEOUT_MS: positiveInteger.max(60_000).default(2_000),
  // Longer than a subgraph waits for a consistency token (5 s) and PostgreSQL runs a statement for it.
  GATEWAY_SUBGRAPH_TIMEOUT_MS: timeouts.default('15000'),
  GATEWAY_SUBGRAPH_ERRORS: z.enum(['mask', 'show']).default('mask'),
  GATEWAY_SUBGRAPH_COMPRESSION: flag.default(false),
  GATEWAY_MAX_BATCH: positiveInteger.default(1),
  GATEWAY_MAX_TOKENS: positiveInteger.default(15_000),
  GATEWAY_MAX_DEPTH: positiveInteger.default(15),
  GATEWAY_MAX_FIELDS: positiveInteger.default(5_000),
  GATEWAY_MAX_REPETITIONS: positiveInteger.default(20_000),
  GATEWAY_MAX_ROOT_FIELDS: positiveInteger.default(50),
  GATEWAY_MAX_ALIASES: positiveInteger.default(200),
  GATEWAY_MAX_DIRECTIVES: positiveInteger.default(200),
  GATEWAY_MAX_PAGE_SIZE: positiveInteger.default(1_000),
  GATEWAY_MAX_COST: positiveInteger.default(250_000),
  GATEWAY_LIST_SIZE: positiveInteger.default(10),
  GATEWAY_MAX_ERRORS: positiveInteger.default(100),
  GATEWAY_RESPONSE_CACHE_BYTES: nonNegativeInteger.default(0),
  GATEWAY_MAX_MESSAGES_PER_SECOND: positiveInteger.default(200),
  GATEWAY_INTROSPECTION: flag.optional(),
  GATEWAY_AUTHORIZATION: z.enum(['filter', 'refuse']).default('filter'),
  GATEWAY_PERSISTED_OPERATIONS: z.string().min(1).optional(),
  GATEWAY_PERSISTED_ONLY: flag.default(false),
  GATEWAY_SHARE_WITHIN: z.enum(['caller', 'tenant']).default('caller'),
  GATEWAY_OVERRIDE_LABELS: labels.optional(),
  GATEWAY_OVERRIDE_LABELS_HEADER: headerName.optional(),
  GATEWAY_OVERRIDE_LABELS_CLAIM: z.string().min(1).optional(),
} as const;

/** Which labels of `@override` are on beside those that chance decides on. */
export interface OverrideSettings {
  /** For all requests. */
  readonly labels: ReadonlySet<string>;
  /** Header by which a request asks for labels, in lower case; undefined: no header does. */
  readonly header: string | undefined;
  /** Claim of the token that has labels. */
  readonly claim: string | undefined;
}

/** What the gateway takes of one request, and what it answers. */
export interface GraphLimits {
  readonly bodyBytes: number;
  readonly variablesBytes: number;
  /** Objects and arrays in each other, in what clients send. */
  readonly jsonDepth: number;
  /** For a body to be there. */
  readonly bodyTimeoutMs: number;
  /** For an operation to be executed. */
  readonly requestTimeoutMs: number;
  /** For the plan of an operation, which is made once; nothing else is done meanwhile. */
  readonly planningTimeoutMs: number;
  readonly subgraphTimeouts: SubgraphTimeouts;
  /** Whether clients are told what a subgraph says went wrong whatever it is, or only what has one of our codes. */
  readonly subgraphErrors: 'mask' | 'show';
  /** Whether subgraphs are asked to compress what they answer. */
  readonly subgraphCompression: boolean;
  /** Operations in one request; 1: no batches. */
  readonly batch: number;
  readonly tokens: number;
  readonly depth: number;
  /** Of an operation with its fragments put in place. */
  readonly fields: number;
  /** Pairs of selections with one name in the answer, which validation compares with each other. */
  readonly repetitions: number;
  readonly rootFields: number;
  readonly aliases: number;
  readonly directives: number;
  /** The greatest value of the arguments `first` and `last`. */
  readonly pageSize: number;
  readonly cost: number;
  /** How long a list is taken to be of which nothing says it. */
  readonly listSize: number;
  /** In one answer. */
  readonly errors: number;
  /** Room for answers that anybody may have; 0: none are kept. */
  readonly responseCacheBytes: number;
  /** From one WebSocket. */
  readonly messagesPerSecond: number;
  readonly introspection: boolean;
  /** What becomes of an operation with fields that its token may not see. */
  readonly authorization: 'filter' | 'refuse';
  /** File or directory with the operations that are known in advance. */
  readonly persistedOperations: string | undefined;
  /** Whether no others are run. */
  readonly persistedOnly: boolean;
  /** Who may share what subgraphs of others are asked: all tokens of one caller, or all of one tenant with equal scopes. */
  readonly sharesWithin: 'caller' | 'tenant';
  readonly overrides: OverrideSettings;
}

export function graphLimits(value: z.output<z.ZodObject<typeof gatewaySettings>>, isProduction: boolean): GraphLimits {
  return {
    bodyBytes: value.GATEWAY_MAX_BODY_BYTES,
    variablesBytes: value.GATEWAY_MAX_VARIABLES_BYTES,
    jsonDepth: value.GATEWAY_MAX_JSON_DEPTH,
    bodyTimeoutMs: value.GATEWAY_BODY_TIMEOUT_MS,
    requestTimeoutMs: value.GATEWAY_REQUEST_TIMEOUT_MS,
    planningTimeoutMs: value.GATEWAY_PLANNING_TIMEOUT_MS,
    subgraphTimeouts: timeoutsIn(value.GATEWAY_SUBGRAPH_TIMEOUT_MS),
    subgraphErrors: value.GATEWAY_SUBGRAPH_ERRORS,
    subgraphCompression: value.GATEWAY_SUBGRAPH_COMPRESSION,
    batch: value.GATEWAY_MAX_BATCH,
    tokens: value.GATEWAY_MAX_TOKENS,
    depth: value.GATEWAY_MAX_DEPTH,
    fields: value.GATEWAY_MAX_FIELDS,
    repetitions: value.GATEWAY_MAX_REPETITIONS,
    rootFields: value.GATEWAY_MAX_ROOT_FIELDS,
    aliases: value.GATEWAY_MAX_ALIASES,
    directives: value.GATEWAY_MAX_DIRECTIVES,
    pageSize: value.GATEWAY_MAX_PAGE_SIZE,
    cost: value.GATEWAY_MAX_COST,
    listSize: value.GATEWAY_LIST_SIZE,
    errors: value.GATEWAY_MAX_ERRORS,
    responseCacheBytes: value.GATEWAY_RESPONSE_CACHE_BYTES,
    messagesPerSecond: value.GATEWAY_MAX_MESSAGES_PER_SECOND,
    sharesWithin: value.GATEWAY_SHARE_WITHIN,
    introspection: value.GATEWAY_INTROSPECTION ?? !isProduction,
    authorization: value.GATEWAY_AUTHORIZATION,
    persistedOperations: value.GATEWAY_PERSISTED_OPERATIONS,
    persistedOnly: value.GATEWAY_PERSISTED_ONLY,
    overrides: {
      labels: new Set((value.GATEWAY_OVERRIDE_LABELS ?? '').split(',').flatMap((label) => label.trim() || [])),
      header: value.GATEWAY_OVERRIDE_LABELS_HEADER?.toLowerCase(),
      claim: value.GATEWAY_OVERRIDE_LABELS_CLAIM,
    },
  };
}

function timeoutsIn(text: string): SubgraphTimeouts {
  const [all, ...some] = text.split(',');
  const byNameMs = some.map((part): [string, number] => {
    const [name = '', ms] = part.split('=');
    return [name.trim(), Number(ms)];
  });
  return { allMs: Number(all), byNameMs: Object.fromEntries(byNameMs) };
}
