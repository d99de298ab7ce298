/**
 * `@requires` with arguments, for a planner that knows a field of an answer by its name alone. It fetches `price` once where
 * one field requires `price(currency: "USD")` and another, or the client, wants `price(currency: "EUR")`, and everyone gets
 * the same. So it is given a stand-in, a field of its own without arguments, for each field with arguments that is required:
 * `price(currency: "USD")` is planned as `required_1_price`. What subgraphs are sent in the end: adapt-plan.ts.
 * Invariant: a stand-in is in the subgraphs that resolve its field and, as external, in those that require it; nowhere else.
 * The specification: https://www.apollographql.com/docs/graphos/schema-design/federated-schemas/reference/directives#requires
 */
import {
  Kind,
  parse,
  print,
  type ArgumentNode,
  type DocumentNode,
  type FieldDefinitionNode,
  type SelectionSetNode,
} from 'graphql';
import { type Composite, isComposite, namedType, textOf, withArgument, isExternal } from './join-directives.js';

/** A field with arguments that is required somewhere, and the field that is planned in its place. */
export interface StandIn {
  readonly name: string;
  readonly field: string;
  readonly arguments: readonly ArgumentNode[];
}

export interface RequiredArguments {
  /** The supergraph with stand-ins; what came, if nothing needs one. */
  readonly document: DocumentNode;
  /** By name. */
  readonly standIns: ReadonlyMap<string, StandIn>;
}

/** Gives stand-ins to the document of a supergraph. */
export function separateRequiredArguments(document: DocumentNode): RequiredArguments {
  const types = new Map(document.definitions.filter(isComposite).map((type) => [type.name.value, type]));
  const standIns = new Map<string, StandIn>();
  /** By what is selected, as text: who requires the same is given the same. */
  const known = new Map<string, StandIn>();
  /** By type: stand-ins with the graphs that require them. */
  const added = new Map<string, Map<StandIn, Set<string>>>();

  const standInFor = (field: string, given: readonly ArgumentNode[]): StandIn => {
    const text = `${field}(${given.map(print).sort().join()})`;
    const made = known.get(text) ?? { name: `required_${known.size + 1}_${field}`, field, arguments: given };
    known.set(text, made);
    standIns.set(made.name, made);
    return made;
  };
  const add = (type: string, standIn: StandIn, graph: string): void => {
    const ofType = added.get(type) ?? new Map<StandIn, Set<string>>();
    added.set(type, ofType.set(standIn, (ofType.get(standIn) ?? new Set<string>()).add(graph)));
  };
  /** The selections with stand-ins in the place of fields with arguments; `used` takes their names. */
  const replace = (set: SelectionSetNode, parent: Composite, graph: string, used: Set<string>): SelectionSetNode => ({
    ...set,
    selections: set.selections.map((selection) => {
      if (selection.kind === Kind.FRAGMENT_SPREAD) return selection;
      if (selection.kind === Kind.INLINE_FRAGMENT) {
        const type = types.get(selection.typeCondition?.name.value ?? parent.name.value);
        return type ? { ...selection, selectionSet: replace(selection.selectionSet, type, graph, used) } : selection;
      }
      const field = fieldOf(parent, selection.name.value);
      if (!field) return selection;
      const type = types.get(namedType(field.type));
      const inner =
        selection.selectionSet && type ? { selectionSet: replace(selection.selectionSet, type, graph, used) } : {};
      // One that is required with its defaults may be required otherwise elsewhere.
      if (!field.arguments?.length) return { ...selection, ...inner };
      const standIn = standInFor(selection.name.value, selection.arguments ?? []);
      used.add(standIn.name);
      for (const owner of implementations(parent, types)) add(owner, standIn, graph);
      return { ...selection, ...inner, name: { kind: Kind.NAME, value: standIn.name }, arguments: [] };
    }),
  });
  const withoutArguments = (type: Composite, field: FieldDefinitionNode): FieldDefinitionNode => ({
    ...field,
    directives: (field.directives ?? []).map((directive) => {
      const graph = textOf(directive, 'graph');
      const requires = textOf(directive, 'requires');
      if (directive.name.value !== 'join__field' || graph === undefined || requires === undefined) return directive;
      const { definitions } = parse(`{ ${requires} }`);
      const [operation] = definitions;
      if (operation?.kind !== Kind.OPERATION_DEFINITION) return directive;
      const used = new Set<string>();
      const set = replace(operation.selectionSet, type, graph, used);
      if (used.size === 0) return directive;
      return withArgument(directive, 'requires', {
        kind: Kind.STRING,
        value: print(set)
          .replace(/^\{|\}$/g, '')
          .replace(/\s+/g, ' ')
          .trim(),
      });
    }),
  });

  const replaced = new Map(
    [...types].map(([name, type]) => [
      name,
      { ...type, fields: (type.fields ?? []).map((field) => withoutArguments(type, field)) },
    ]),
  );
  return {
    standIns,
    document:
      standIns.size === 0
        ? document
        : {
            ...document,
            definitions: document.definitions.map((definition) => {
              const type = isComposite(definition) ? replaced.get(definition.name.value) : undefined;
              if (!type) return definition;
              const more = [...(added.get(type.name.value) ?? [])].flatMap(([standIn, requiring]) => {
                const field = fieldOf(type, standIn.field);
                return field ? [standInField(field, standIn, requiring)] : [];
              });
              return { ...type, fields: [...type.fields, ...more] };
            }),
          },
  };
}

/** The field's double: where the field is resolved, and external for those that require it. */
function standInField(
  field: FieldDefinitionNode,
  { name }: StandIn,
  requiring: ReadonlySet<string>,
): FieldDefinitionNode {
  return {
    ...field,
    name: { kind: Kind.NAME, value: name },
    arguments: [],
    directives: (field.directives ?? []).filter((directive) => {
      if (directive.name.value !== 'join__field') return false;
      return !isExternal(directive) || requiring.has(textOf(directive, 'graph') ?? '');
    }),
  };
}

/** Types on which a field of `type` must be there, too: those that implement it. */
function implementations(type: Composite, types: ReadonlyMap<string, Composite>): readonly string[] {
  if (type.kind === Kind.OBJECT_TYPE_DEFINITION) return [type.name.value];
  const those = [...types.values()].filter(({ interfaces }) =>
    interfaces?.some(({ name }) => name.value === type.name.value),
  );
  return [type.name.value, ...those.map(({ name }) => name.value)];
}

function fieldOf(type: Composite, name: string): FieldDefinitionNode | undefined {
  return type.fields?.find((field) => field.name.value === name);
}
