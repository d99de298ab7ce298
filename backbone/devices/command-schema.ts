/**
 * What a device type says of the commands that its devices take: names, and for each a JSON Schema (draft 2020-12) of the
 * parameters. The device role checks the schema when the type is defined, the actions role the parameters before it sends.
 *
 * Schemas are written by tenants, so neither reading one nor checking by one may take for ever: a pattern can backtrack
 * (`^(a+)+$`) and references can multiply. Both run under a limit of time that V8 enforces, patterns included.
 */
import { Ajv2020, type AnySchema, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import { LRUCache } from 'lru-cache';
import { createContext, Script } from 'node:vm';
import { jsonFault, type Json, type JsonObject } from '../../platform/database/storable.js';
import { codeOf, messageOf } from '../../platform/errors.js';

export const maxSchemaBytes = 16_384;
const maxSchemaDepth = 32;
const dialect = 'https://json-schema.org/draft/2020-12/schema';

/** A command that the devices of a type take. */
export interface CommandDefinition {
  readonly name: string;
  readonly description?: string | undefined;
  /** A JSON Schema of the parameters, which are an object. Any object is right if it is left out. */
  readonly parametersSchema?: JsonObject | boolean | undefined;
}

/** Parameters that are not right: where in them (`celsius`, `steps[2].name`, or nothing for all of them) and why. */
export interface ParametersFault {
  readonly path: string;
  readonly fault: string;
}

/** Milliseconds that a check of parameters may take. */
const checkMs = 100;
/** Milliseconds that reading a schema may take. */
const compileMs = 1_000;

// Each schema is compiled alone: what one tenant's calls itself ($id) is nothing that another's can refer to.
const options = {
  meta: false,
  validateSchema: false,
  inlineRefs: false,
  validateFormats: false,
  // A keyword that nobody knows is most often a slip, and would check nothing.
  strictSchema: true,
  strictNumbers: true,
  strictTypes: false,
  strictTuples: false,
  strictRequired: false,
} as const;

const sandbox: { run?: () => unknown } = {};
const inSandbox = createContext(sandbox);
const script = new Script('run()');

/** Runs the function, which must be synchronous. @throws Error ERR_SCRIPT_EXECUTION_TIMEOUT when it takes longer. */
function within<T>(timeoutMs: number, run: () => T): T {
  sandbox.run = run;
  try {
    return script.runInContext(inSandbox, { timeout: timeoutMs }) as T;
  } finally {
    delete sandbox.run;
  }
}

let metaSchema: Ajv2020 | undefined;

/** Why it is no schema that parameters can be checked by, as the rest of a sentence; undefined if it is one. */
export function schemaFault(schema: unknown): string | undefined {
  if (typeof schema === 'boolean') return undefined;
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema))
    return 'must be a JSON Schema: an object, e.g. { "type": "object", "properties": { "celsius": { "type": "number" } } }';
  const object = schema as JsonObject;
  const found = jsonFault(object, 'schema', maxSchemaDepth);
  if (found) return found.fault;
  const bytes = Buffer.byteLength(JSON.stringify(object));
  if (bytes > maxSchemaBytes) return `is ${bytes} bytes of JSON; at most ${maxSchemaBytes} are taken`;
  const named = object['$schema'];
  if (named !== undefined && named !== dialect)
    return `has a "$schema" that is not "${dialect}"; write it in that dialect, or leave "$schema" out`;
  try {
    metaSchema ??= new Ajv2020({ strict: false, validateFormats: false });
    const meta = metaSchema;
    const isRight = within(compileMs, () => meta.validateSchema(object as AnySchema));
    if (isRight !== true) return `is no JSON Schema: ${describe(meta.errors, 'the schema')}`;
    compile(object);
    return undefined;
  } catch (error) {
    return `can't be used: ${isTimeout(error) ? `reading it takes longer than ${compileMs} ms` : messageOf(error)}`;
  }
}

function compile(schema: JsonObject | boolean): ValidateFunction {
  return within(compileMs, () => new Ajv2020(options).compile(schema));
}

/** Checks parameters by schemas, and remembers the last `max` that were compiled. */
export function createParametersCheck(
  max = 500,
): (schema: JsonObject | boolean, parameters: Json) => ParametersFault | undefined {
  const compiled = new LRUCache<string, ValidateFunction>({ max });
  return (schema, parameters) => {
    const key = JSON.stringify(schema);
    try {
      const validate = compiled.get(key) ?? compile(schema);
      compiled.set(key, validate);
      if (within(checkMs, () => validate(parameters))) return undefined;
      return { path: pathOf(validate.errors?.[0]), fault: reasonOf(validate.errors?.[0]) };
    } catch (error) {
      // Too slow, or without end ({"$ref": "#"}): what can't be checked is not sent.
      const why = isTimeout(error) ? `checking takes longer than ${checkMs} ms` : messageOf(error);
      return { path: '', fault: `can't be checked by the schema of the device type (${why})` };
    }
  };
}

function isTimeout(error: unknown): boolean {
  return codeOf(error) === 'ERR_SCRIPT_EXECUTION_TIMEOUT';
}

function describe(errors: readonly ErrorObject[] | null | undefined, what: string): string {
  const path = pathOf(errors?.[0]);
  return `${path === '' ? what : path} ${reasonOf(errors?.[0])}`;
}

/** `/steps/2/name` as `steps[2].name`. A member that is missing or too much is at fault itself, not what it is (not) in. */
function pathOf(error: ErrorObject | undefined): string {
  const params = (error?.params ?? {}) as Readonly<Record<string, unknown>>;
  const own = params['missingProperty'] ?? params['additionalProperty'] ?? params['unevaluatedProperty'];
  const parts = (error?.instancePath ?? '')
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  return [...parts, ...(typeof own === 'string' ? [own] : [])].reduce(
    (path, part) => (/^\d+$/.test(part) ? `${path}[${part}]` : path === '' ? part : `${path}.${part}`),
    '',
  );
}

function reasonOf(error: ErrorObject | undefined): string {
  if (error === undefined) return 'is not right';
  switch (error.keyword) {
    case 'required':
      return 'is missing';
    case 'additionalProperties':
    case 'unevaluatedProperties':
      return 'is not one of the parameters';
    case 'enum':
      return `must be one of ${JSON.stringify(error.params['allowedValues'])}`;
    case 'const':
      return `must be ${JSON.stringify(error.params['allowedValue'])}`;
    case 'false schema':
      return 'must not be there';
    default:
      return error.message ?? 'is not right';
  }
}
