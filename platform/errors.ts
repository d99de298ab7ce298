/**
 * The closed list of error codes that fleetgraph shows to its clients, and the one class that carries them.
 * docs/errors.md documents each; the boundary (GraphQL, HTTP, MQTT, exit code) maps them in one table.
 */
export const errorCodes = {
  BAD_USER_INPUT: { httpStatus: 400, meaning: 'An argument is missing, malformed or out of range.' },
  UNAUTHENTICATED: {
    httpStatus: 401,
    meaning: 'No token, or one that is expired, tampered with or of another issuer.',
  },
  FORBIDDEN: { httpStatus: 403, meaning: 'The token lacks the scope that the field asks for.' },
  NOT_FOUND: { httpStatus: 404, meaning: 'There is no such thing in the tenant of the caller.' },
  CONFLICT: { httpStatus: 409, meaning: 'The thing has changed since it was read, or the name is taken.' },
  PAYLOAD_TOO_LARGE: { httpStatus: 413, meaning: 'The body or the batch is larger than the limit.' },
  RATE_LIMITED: { httpStatus: 429, meaning: 'Too many requests; try again later.' },
  LAGGED: {
    httpStatus: 503,
    meaning: 'The client reads a stream more slowly than things happen. It goes on behind the cursor of the error.',
  },
  UNAVAILABLE: {
    httpStatus: 503,
    meaning: 'Something that the answer needs is away; the same request may be retried.',
  },
  INTERNAL_SERVER_ERROR: { httpStatus: 500, meaning: 'A defect of fleetgraph. The log has the cause.' },
} as const;

export type ErrorCode = keyof typeof errorCodes;

/** An error that a client may see: `message` says what happened to whom and what to do. */
export class FleetgraphError extends Error {
  readonly code: ErrorCode;
  /** Path of the argument at fault, for `BAD_USER_INPUT`, e.g. `input.labels[2].key`. */
  readonly field: string | undefined;

  constructor(code: ErrorCode, message: string, options: { field?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'FleetgraphError';
    this.code = code;
    this.field = options.field;
  }
}

/** The setting, port or directory is wrong: the process can't start. Printed as one sentence, exit code 78 (EX_CONFIG). */
export class StartupError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'StartupError';
  }
}

/** Code of a Node.js system error or of a SQLSTATE, if the thing thrown carries one. */
export function codeOf(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined;
}

/** Message of anything that can be thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
