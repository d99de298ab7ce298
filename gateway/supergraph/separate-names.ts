/**
 * Names that a client gives to fields, kept apart from those that the planner needs for itself. It adds keys and what is
 * required to what the client asks for, by their own names, and does not look whether the client has given such a name to another
 * field: of `{ device { id: name state } }` it would send the name as the id. So the operation that is planned has other names
 * in their place, and the answer is written from those.
 */
import { Kind, visit, type ConstDirectiveNode, type DocumentNode, type SelectionNode } from 'graphql';
import { fieldSetsOf } from './join-directives.js';

export interface SeparateNames {
  /** The operation to plan. */
  readonly document: DocumentNode;
  /** What the data has, by the name in the answer; only where the two differ. */
  readonly dataNames: ReadonlyMap<string, string>;
}

const noNames: ReadonlyMap<string, string> = new Map();

/** @param needed the names that the planner may add to any selection: `namesOfPlanner`. */
export function separateNames(document: DocumentNode, needed: ReadonlySet<string>): SeparateNames {
  const taken = new Set<string>();
  visit(document, {
    Field({ alias, name }) {
      if (alias && alias.value !== name.value && needed.has(alias.value)) taken.add(alias.value);
    },
  });
  if (taken.size === 0) return { document, dataNames: noNames };
  // Wherever the name is in the answer, not only where it is in the way: fields that are one in the answer stay one.
  const dataNames = new Map([...taken].map((name) => [name, `client_${name.replace(/^_+/, '')}`]));
  return {
    dataNames,
    document: visit(document, {
      Field(field) {
        const dataName = dataNames.get((field.alias ?? field.name).value);
        return dataName === undefined ? undefined : { ...field, alias: { kind: Kind.NAME, value: dataName } };
      },
    }),
  };
}

/** The names in the answer by those in the data: where something went wrong is told in the client's names. */
export function clientNames(dataNames: SeparateNames['dataNames']): ReadonlyMap<string, string> {
  return dataNames.size === 0 ? noNames : new Map([...dataNames].map(([client, data]) => [data, client]));
}

/**
 * The operation with something in each object that is there on no condition. Of an object whose fields are all left out the
 * planner would not even ask whether it is there.
 */
export function keepObjects(document: DocumentNode): DocumentNode {
  let hasConditions = false;
  visit(document, { Directive: ({ name }) => void (hasConditions ||= isCondition(name.value)) });
  if (!hasConditions) return document;
  return visit(document, {
    Field: {
      leave(field) {
        const { selectionSet } = field;
        if (!selectionSet || field.name.value.startsWith('__') || selectionSet.selections.some(isThere))
          return undefined;
        const typename = { kind: Kind.FIELD, name: { kind: Kind.NAME, value: '__typename' } } as const;
        return { ...field, selectionSet: { ...selectionSet, selections: [...selectionSet.selections, typename] } };
      },
    },
  });
}

function isThere({ kind, directives = [] }: SelectionNode): boolean {
  return kind === Kind.FIELD && !directives.some(({ name }) => isCondition(name.value));
}

function isCondition(directive: string): boolean {
  return directive === 'skip' || directive === 'include';
}

/** Every name in a key, in what is required, or in what is taken from a context, of the document of a supergraph. */
export function namesOfPlanner(supergraph: DocumentNode): ReadonlySet<string> {
  const names = new Set(['__typename']);
  const note = (text: string): void => {
    for (const [name] of text.matchAll(/[_A-Za-z]\w*/g)) names.add(name);
  };
  visit(supergraph, {
    Directive(directive) {
      for (const text of fieldSetsOf(directive as ConstDirectiveNode)) note(text);
    },
  });
  return names;
}
