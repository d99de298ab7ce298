/**
 * What a subgraph is told of the entities that it is asked about, each as JSON. Entities that are told in the same words are one
 * entity: it is asked for once, however often it is in the data.
 */
import type { FetchDataRewrite, QueryPlanSelectionNode } from '@apollo/query-planner';
import type { GraphQLSchema } from 'graphql';
import { isInherited, isObject, own, put, type JsonObject } from '../json.js';
import { treeText, type Tape } from '../tape/tape.js';
import { merge } from './merge.js';
import { compileRewrites, isOfType, isTypeOf } from './rewrites.js';
import { createSameEntities, type SameEntities } from './same-entities.js';

export interface Representations {
  /** Those that differ, in the order in which they were found. */
  readonly texts: readonly string[];
  /** What they are, before any rewriting. */
  readonly typenames: readonly unknown[];
  /** For each entity the index of its text; -1 if the subgraph is not asked: wrong type, or what it needs is not there. */
  readonly places: readonly number[];
}

type Represent = (tape: Tape, entity: JsonObject, isWhole: boolean) => string | undefined;

interface TypePlan {
  readonly represent: Represent;
  /** The leaves that tell entities of the type apart; undefined if there may be others. */
  readonly leaves: readonly string[] | undefined;
}

/**
 * @param requires what the subgraph needs, by type
 * @param keyNames what entities are found by: without it they are left out, for nobody has asked for anything of them
 * @returns a function of entities, and of whether all that was asked for so far has come: then what is missing was not asked for,
 * because of @skip or @include, and is not needed; else the entity is left out, since the subgraph would reckon without it.
 */
export function compileRepresentations(
  schema: GraphQLSchema,
  requires: readonly QueryPlanSelectionNode[],
  inputRewrites: readonly FetchDataRewrite[] | undefined,
  keyNames: ReadonlySet<string> = new Set(),
): (tape: Tape, entities: readonly JsonObject[], isWhole: boolean) => Representations {
  const plans = new Map<unknown, TypePlan>();
  const rewrite = compileRewrites(schema, inputRewrites);
  const general: TypePlan = {
    leaves: undefined,
    represent(tape, entity, isWhole) {
      const representation = select(schema, entity, requires, isWhole, keyNames);
      if (typeof representation?.['__typename'] !== 'string') return undefined;
      rewrite?.(representation);
      return treeText(tape, representation);
    },
  };
  const planFor = (typename: unknown): TypePlan => {
    const made =
      (rewrite === undefined && typeof typename === 'string'
        ? plainPlan(schema, requires, typename, keyNames)
        : undefined) ?? general;
    // What the supergraph has no type for is not remembered: its number has no bound.
    if (typeof typename === 'string' && schema.getType(typename)) plans.set(typename, made);
    return made;
  };

  return (tape, entities, isWhole) => {
    const texts: string[] = [];
    const typenames: unknown[] = [];
    const places: number[] = [];
    const known = new Map<string, number>();
    const same = new Map<TypePlan, SameEntities>();
    const placeOf = (text: string | undefined, typename: unknown): number => {
      if (text === undefined) return -1;
      const found = known.get(text);
      if (found !== undefined) return found;
      const place = texts.push(text) - 1;
      typenames.push(typename);
      known.set(text, place);
      return place;
    };
    for (const entity of entities) {
      const typename = entity['__typename'];
      const plan = plans.get(typename) ?? planFor(typename);
      if (plan.leaves === undefined) {
        places.push(placeOf(plan.represent(tape, entity, isWhole), typename));
        continue;
      }
      let ofPlan = same.get(plan);
      if (!ofPlan) same.set(plan, (ofPlan = createSameEntities(tape, plan.leaves)));
      let place = ofPlan.find(entity);
      if (place === undefined) {
        place = placeOf(plan.represent(tape, entity, isWhole), typename);
        ofPlan.add(entity, place);
      }
      places.push(place);
    }
    return { texts, typenames, places };
  };
}

/** For a type that is told by some fields of one selection and nothing else: written without a detour. */
function plainPlan(
  schema: GraphQLSchema,
  requires: readonly QueryPlanSelectionNode[],
  typename: string,
  keyNames: ReadonlySet<string>,
): TypePlan | undefined {
  const matching = requires.filter(
    (selection) =>
      selection.kind === 'Field' ||
      (selection.typeCondition !== undefined && isTypeOf(schema, typename, selection.typeCondition)),
  );
  const [only] = matching;
  if (matching.length !== 1 || only?.kind !== 'InlineFragment') return undefined;
  const fields = only.selections.flatMap((selection) =>
    selection.kind === 'Field' && !selection.selections && !isInherited(selection.name)
      ? [selection.alias ?? selection.name]
      : [],
  );
  if (fields.length !== only.selections.length || new Set(fields).size !== fields.length) return undefined;
  if (!fields.includes('__typename')) return { leaves: undefined, represent: () => undefined };
  // In one order, so that what is asked at several places in the same words is one question.
  fields.sort((one, other) => (one === '__typename' ? -1 : other === '__typename' ? 1 : one < other ? -1 : 1));
  const heads = fields.map((name) => `${JSON.stringify(name)}:`);
  return {
    leaves: fields.filter((name) => name !== '__typename'),
    represent(tape, entity, isWhole) {
      let text = '';
      for (let index = 0; index < fields.length; index += 1) {
        const value = entity[fields[index] as string];
        if (value === undefined) {
          if (!isWhole || keyNames.has(fields[index] as string)) return undefined;
          continue;
        }
        text += text === '' ? '{' : ',';
        text += heads[index] as string;
        text += typeof value === 'number' ? tape.text(value) : treeText(tape, value);
      }
      return `${text}}`;
    },
  };
}

/**
 * @returns null if something is missing that should be there, however deep: then an error has been
 * told already, and the subgraph would reckon without it.
 */
function select(
  schema: GraphQLSchema,
  source: JsonObject,
  selections: readonly QueryPlanSelectionNode[],
  isWhole: boolean,
  keyNames?: ReadonlySet<string>,
): JsonObject | null {
  const selected: JsonObject = {};
  for (const selection of selections) {
    if (selection.kind === 'InlineFragment') {
      if (selection.typeCondition === undefined || !isOfType(schema, source, selection.typeCondition)) continue;
      const part = select(schema, source, selection.selections, isWhole, keyNames);
      if (part) merge(selected, part);
      else if (!isWhole) return null;
      continue;
    }
    const name = selection.alias ?? selection.name;
    const value = own(source, name);
    if (value === undefined) {
      if (!isWhole || keyNames?.has(selection.name) === true) return null;
      continue;
    }
    const given = selection.selections ? selectValue(schema, value, selection.selections, isWhole) : value;
    if (given === undefined) return null;
    put(selected, name, given);
  }
  return selected;
}

/** @returns undefined if something is missing in it. */
function selectValue(
  schema: GraphQLSchema,
  value: unknown,
  selections: readonly QueryPlanSelectionNode[],
  isWhole: boolean,
): unknown {
  if (Array.isArray(value)) {
    const elements = value.map((element) => selectValue(schema, element, selections, isWhole));
    return elements.includes(undefined) ? undefined : elements;
  }
  return isObject(value) ? (select(schema, value, selections, isWhole) ?? undefined) : value;
}
