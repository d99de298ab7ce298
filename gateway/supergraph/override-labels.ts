/**
 * Progressive `@override`: a field with a label is resolved by the subgraph that carries the directive while its label is on, and by
 * the former one while it is off. `percent(x)` is on for x of 100 requests, any other label for requests that ask for it.
 * Invariant: a plan depends on no other labels than those that are found here for its operation.
 * Source: https://www.apollographql.com/docs/graphos/schema-design/federated-schemas/reference/directives#override
 */
import {
  getNamedType,
  isAbstractType,
  isCompositeType,
  Kind,
  TypeInfo,
  visit,
  visitWithTypeInfo,
  type ConstDirectiveNode,
  type DocumentNode,
  type FragmentDefinitionNode,
  type GraphQLCompositeType,
  type GraphQLSchema,
  type OperationDefinitionNode,
} from 'graphql';
import { fieldSetsOf, isComposite, textOf } from './join-directives.js';

/** What a request brings along to decide which labels are on. */
export interface OverrideChoice {
  /** Labels that the caller asks for. */
  readonly overrideLabels?: ReadonlySet<string>;
  /** From 0 to below 100. One for all labels of a request, so that k percentages make k + 1 plans, not 2^k. */
  readonly overrideDraw?: number;
}

/** Labels that the plan of an operation depends on, sorted; none for most operations. */
export type LabelsOfOperation = (document: DocumentNode, operation: OperationDefinitionNode) => readonly string[];

const noLabels: readonly string[] = [];
const nothing: ReadonlySet<string> = new Set();

/** @param schema of the same supergraph. @returns undefined if it has no labels */
export function overrideLabels(supergraph: DocumentNode, schema: GraphQLSchema): LabelsOfOperation | undefined {
  const { ofField, ofName, names } = labelsInSupergraph(supergraph);
  if (ofField.size === 0) return undefined;

  /** Those of the names, and of what fields of these names require. */
  const labelsOfNames = (wanted: Iterable<string>, found: Set<string>, seen: Set<string>): void => {
    for (const name of wanted) {
      if (seen.has(name)) continue;
      seen.add(name);
      for (const label of ofName.get(name) ?? nothing) found.add(label);
      labelsOfNames(names.required.get(name) ?? nothing, found, seen);
    }
  };

  return (document, operation) => {
    const found = new Set<string>();
    const seen = new Set<string>();
    const types = new TypeInfo(schema);
    const note = (parent: GraphQLCompositeType, field: string): void => {
      const possible = isAbstractType(parent) ? schema.getPossibleTypes(parent) : [];
      for (const { name } of [parent, ...possible]) {
        for (const label of ofField.get(`${name}.${field}`) ?? nothing) found.add(label);
        labelsOfNames(names.required.get(field) ?? nothing, found, seen);
        labelsOfNames(names.keys.get(name) ?? nothing, found, seen);
      }
    };
    visit(
      { kind: Kind.DOCUMENT, definitions: definitionsUsedBy(document, operation) },
      visitWithTypeInfo(types, {
        Field({ name }) {
          const parent = types.getParentType();
          const field = types.getFieldDef();
          if (parent) note(parent, name.value);
          const type = field && getNamedType(field.type);
          if (isCompositeType(type)) note(type, '__typename');
        },
      }),
    );
    return found.size === 0 ? noLabels : [...found].sort();
  };
}

/** The labels that are on for a request. @param always on for all requests */
export function labelsThatAreOn(
  labels: readonly string[],
  always: ReadonlySet<string>,
  { overrideLabels: asked, overrideDraw: draw = Math.random() * 100 }: OverrideChoice,
): readonly string[] {
  if (labels.length === 0) return noLabels;
  return labels.filter((label) => always.has(label) || asked?.has(label) === true || draw < percentageOf(label));
}

/** A draw for each outcome that the percentages among the labels can have. */
export function drawsOf(labels: readonly string[]): readonly number[] {
  return [0, ...new Set(labels.map(percentageOf).filter((percentage) => percentage > 0 && percentage < 100))];
}

/** Whether chance decides on the label. */
export function isPercentage(label: string): boolean {
  return label.startsWith('percent(');
}

/** The x of `percent(x)`; 0 for labels of another kind. */
function percentageOf(label: string): number {
  const [, percentage] = /^percent\((\d+(?:\.\d+)?)\)$/.exec(label) ?? [];
  return percentage === undefined ? 0 : Number(percentage);
}

interface LabelsInSupergraph {
  readonly ofField: ReadonlyMap<string, ReadonlySet<string>>;
  readonly ofName: ReadonlyMap<string, ReadonlySet<string>>;
  /** Names in field sets: in what a field of a name requires, and in the keys of a type. */
  readonly names: {
    readonly required: ReadonlyMap<string, ReadonlySet<string>>;
    readonly keys: ReadonlyMap<string, ReadonlySet<string>>;
  };
}

function labelsInSupergraph({ definitions }: DocumentNode): LabelsInSupergraph {
  const ofField = new Map<string, Set<string>>();
  const ofName = new Map<string, Set<string>>();
  const names = { required: new Map<string, Set<string>>(), keys: new Map<string, Set<string>>() };
  for (const type of definitions.filter(isComposite)) {
    const interfaces = (type.interfaces ?? []).map(({ name }) => name.value);
    for (const directive of type.directives ?? []) add(names.keys, type.name.value, namesIn(directive));
    for (const name of interfaces) add(names.keys, type.name.value, names.keys.get(name) ?? nothing);
    for (const { name, directives = [] } of type.fields ?? []) {
      for (const directive of directives) {
        const label = directive.name.value === 'join__field' ? textOf(directive, 'overrideLabel') : undefined;
        add(names.required, name.value, namesIn(directive));
        if (label === undefined) continue;
        add(ofField, `${type.name.value}.${name.value}`, [label]);
        add(ofName, name.value, [label]);
      }
    }
  }
  return { ofField, ofName, names };
}

function add(map: Map<string, Set<string>>, key: string, values: Iterable<string>): void {
  const known = map.get(key) ?? new Set<string>();
  for (const value of values) known.add(value);
  if (known.size > 0) map.set(key, known);
}

function namesIn(directive: ConstDirectiveNode): readonly string[] {
  return fieldSetsOf(directive).flatMap((text) => [...text.matchAll(/[_A-Za-z]\w*/g)].map(([name]) => name));
}

/** The operation and the fragments that it uses. */
function definitionsUsedBy(
  { definitions }: DocumentNode,
  operation: OperationDefinitionNode,
): readonly (OperationDefinitionNode | FragmentDefinitionNode)[] {
  const used = new Set<OperationDefinitionNode | FragmentDefinitionNode>([operation]);
  // What is added while it is iterated is visited, too.
  for (const definition of used)
    visit(definition.selectionSet, {
      FragmentSpread({ name }) {
        const fragment = definitions.find(
          (each) => each.kind === Kind.FRAGMENT_DEFINITION && each.name.value === name.value,
        );
        if (fragment) used.add(fragment as FragmentDefinitionNode);
      },
    });
  return [...used];
}
