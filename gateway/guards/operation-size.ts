/**
 * How much a document asks for, counted before it is validated: some rules of validation cost the square of what they are
 * given (graphql-js compares each two selections that have one name in the answer, and each two fragments of a selection), and
 * fragments that spread each other twice stand for two to the power of their number. The count stops at the first limit, so it
 * costs no more than what is allowed.
 */
import {
  Kind,
  type DirectiveNode,
  type DocumentNode,
  type FragmentDefinitionNode,
  type SelectionSetNode,
} from 'graphql';

export interface SizeLimits {
  /** Of an operation with its fragments put in place. */
  readonly fields: number;
  /** Pairs that validation compares. */
  readonly repetitions: number;
  readonly rootFields: number;
  readonly aliases: number;
  readonly directives: number;
}

/** Fragments are counted by themselves, too, since validation looks at each; so much more than an operation all together. */
const ofAllDefinitions = 4;

/** Names that mean something to every object of JavaScript: a client that copies the answer would be in danger. */
const reservedNames = new Set(['__proto__', 'constructor', 'prototype']);

class TooLarge extends Error {}

/** @returns what is wrong with the document, with the limit; undefined if it may be validated. */
export function sizeFault(document: DocumentNode, limits: SizeLimits): string | undefined {
  try {
    measure(document, limits);
    return undefined;
  } catch (error) {
    if (error instanceof TooLarge) return error.message;
    throw error;
  }
}

function measure(document: DocumentNode, limits: SizeLimits): void {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  refuseCycles(fragments);

  let [allFields, allRepetitions] = [0, 0];
  for (const definition of document.definitions) {
    if (definition.kind !== Kind.OPERATION_DEFINITION && definition.kind !== Kind.FRAGMENT_DEFINITION) continue;
    const count = createCount(limits, fragments);
    count.directives(definition.directives);
    const variables = definition.kind === Kind.OPERATION_DEFINITION ? (definition.variableDefinitions ?? []) : [];
    for (const { variable, directives } of variables) {
      if (reservedNames.has(variable.name.value)) throw new TooLarge(reserved(variable.name.value, 'a variable'));
      count.directives(directives);
    }
    count.sets([definition.selectionSet], definition.kind === Kind.OPERATION_DEFINITION);
    allFields += count.total().fields;
    allRepetitions += count.total().repetitions;
    atMost(allFields, limits.fields * ofAllDefinitions, 'fields in all its operations and fragments');
    atMost(allRepetitions, limits.repetitions * ofAllDefinitions, 'repetitions in all its operations and fragments');
  }
}

function createCount(limits: SizeLimits, fragments: ReadonlyMap<string, FragmentDefinitionNode>) {
  let [fields, repetitions, aliases, directives] = [0, 0, 0, 0];

  const countDirectives = (given: readonly DirectiveNode[] | undefined): void => {
    if (!given || given.length === 0) return;
    directives += given.length;
    atMost(directives, limits.directives, 'directives');
  };

  /** What lies at one place of the answer, however many selections it comes from. */
  const countSets = (sets: readonly SelectionSetNode[], isRoot: boolean): void => {
    const byName = new Map<string, { times: number; readonly sets: SelectionSetNode[] }>();
    const spread = new Set<string>();
    const collect = ({ selections }: SelectionSetNode): void => {
      for (const selection of selections) {
        countDirectives(selection.directives);
        fields += 1;
        atMost(fields, limits.fields, 'fields, with its fragments put in place');
        if (selection.kind === Kind.INLINE_FRAGMENT) {
          collect(selection.selectionSet);
        } else if (selection.kind === Kind.FRAGMENT_SPREAD) {
          const name = selection.name.value;
          const fragment = fragments.get(name);
          if (spread.has(name) || !fragment) continue;
          repetitions += spread.size;
          spread.add(name);
          atMost(repetitions, limits.repetitions, 'repetitions');
          collect(fragment.selectionSet);
        } else {
          const name = (selection.alias ?? selection.name).value;
          if (selection.alias) countAlias(name);
          const known = byName.get(name) ?? { times: 0, sets: [] };
          byName.set(name, known);
          repetitions += known.times;
          atMost(repetitions, limits.repetitions, 'repetitions');
          known.times += 1;
          if (selection.selectionSet) known.sets.push(selection.selectionSet);
        }
      }
    };
    for (const set of sets) collect(set);
    if (isRoot) atMost(byName.size, limits.rootFields, 'root fields');
    for (const { sets: below } of byName.values()) if (below.length > 0) countSets(below, false);
  };

  const countAlias = (name: string): void => {
    if (reservedNames.has(name)) throw new TooLarge(reserved(name, 'an alias'));
    aliases += 1;
    atMost(aliases, limits.aliases, 'aliases');
  };

  return { directives: countDirectives, sets: countSets, total: () => ({ fields, repetitions }) };
}

/** Those would have no size. Validation refuses them, too, but has to count first. */
function refuseCycles(fragments: ReadonlyMap<string, FragmentDefinitionNode>): void {
  const finished = new Set<string>();
  const open = new Set<string>();
  const enter = (name: string): void => {
    const fragment = fragments.get(name);
    if (!fragment || finished.has(name)) return;
    if (open.has(name)) throw new TooLarge(`Cannot spread fragment "${name}" within itself.`);
    open.add(name);
    look(fragment.selectionSet);
    open.delete(name);
    finished.add(name);
  };
  const look = ({ selections }: SelectionSetNode): void => {
    for (const selection of selections) {
      if (selection.kind === Kind.FRAGMENT_SPREAD) enter(selection.name.value);
      else if (selection.selectionSet) look(selection.selectionSet);
    }
  };
  for (const name of fragments.keys()) enter(name);
}

function reserved(name: string, what: string): string {
  return `"${name}" can not be the name of ${what}: it means something to every object. Choose another.`;
}

function atMost(count: number, limit: number, what: string): void {
  if (count > limit) throw new TooLarge(`The operation has more than ${limit} ${what}. Ask for less at once.`);
}
