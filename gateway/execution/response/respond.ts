/**
 * From joined data to the bytes of the answer. What can be made ready before there are variables is; a writer is compiled for
 * each way in which @skip and @include can turn out, when it is first needed.
 */
import {
  Kind,
  visit,
  type DocumentNode,
  type FragmentDefinitionNode,
  type GraphQLError,
  type OperationDefinitionNode,
  type GraphQLSchema,
} from 'graphql';
import { LRUCache } from 'lru-cache';
import { exactJson } from '../../../platform/json/exact-json.js';
import type { JsonObject } from '../json.js';
import type { Restriction } from '../restriction.js';
import type { Tape } from '../tape/tape.js';
import { compileWriter, type Writer } from './compile-writer.js';
import { complete } from './complete.js';
import type { FailurePlaces } from './failure-places.js';
import { introspect } from './introspection.js';
import { responseShape, type ResponseShape, type ShapedOperation } from './response-shape.js';

export interface Response {
  /** JSON: `{"data":…}`. */
  readonly body: Buffer;
  /** What was wrong with what the subgraphs gave. */
  readonly errors: readonly GraphQLError[];
}

export type Respond = (
  tape: Tape,
  data: JsonObject,
  variables: Readonly<Record<string, unknown>>,
  given: Readonly<Record<string, unknown>>,
  /** What went wrong on the way to the data. */
  failures?: FailurePlaces,
) => Response;

interface Variant {
  readonly shape: ResponseShape;
  readonly write: Writer;
}

/** An operation has as many as its conditions have outcomes that were asked for; few have more than one. */
const maxVariants = 32;
const noErrors: readonly GraphQLError[] = [];

export function compileResponse(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  denials?: Restriction['denials'],
  dataNames: ShapedOperation['dataNames'] = new Map(),
): Respond {
  const fragments = new Map(
    document.definitions
      .filter((definition): definition is FragmentDefinitionNode => definition.kind === Kind.FRAGMENT_DEFINITION)
      .map((fragment) => [fragment.name.value, fragment]),
  );
  const shaped: ShapedOperation = { schema, operation, fragments, denials, dataNames };
  const conditions = conditionVariables(document);
  const variants = new LRUCache<string, Variant>({ max: maxVariants });
  const variantOf = (variables: Readonly<Record<string, unknown>>): Variant => {
    const key = conditions.map((name) => (variables[name] === true ? '1' : '0')).join('');
    const known = variants.get(key);
    if (known) return known;
    const shape = responseShape(shaped, variables);
    const made = { shape, write: compileWriter(shape) };
    variants.set(key, made);
    return made;
  };
  // The first request shall not wait for it, where there is nothing to wait for.
  if (conditions.length === 0) variantOf({});

  return (tape, data, variables, given, failures) => {
    const { shape, write } = variantOf(variables);
    const introspection = introspect(shaped, shape, given);
    const body = failures ? undefined : write(tape, data, introspection);
    if (body) return { body, errors: noErrors };
    const completed = complete(shape, tape, data, introspection, failures);
    return { body: Buffer.from(`{"data":${exactJson(completed.data) ?? 'null'}}`), errors: completed.errors };
  };
}

/** Names of the variables that decide what is in the answer. */
function conditionVariables(document: DocumentNode): string[] {
  const names = new Set<string>();
  visit(document, {
    Directive({ name, arguments: given }) {
      if (name.value !== 'skip' && name.value !== 'include') return;
      for (const { value } of given ?? []) if (value.kind === Kind.VARIABLE) names.add(value.name.value);
    },
  });
  return [...names];
}
