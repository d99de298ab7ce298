/**
 * From a subscription operation to a plan: which subgraph to subscribe to with which document (`primary`), and what to
 * fetch for each event (`rest`). Plans depend on the operation alone; transports/operations.ts keeps them.
 */
import type { FetchNode, PlanNode } from '@apollo/query-planner';
import {
  getOperationAST,
  Kind,
  parse,
  print,
  valueFromASTUntyped,
  type DocumentNode,
  type FieldNode,
  type OperationDefinitionNode,
} from 'graphql';
import { FleetgraphError } from '../../platform/errors.js';
import { refuseUnsupported } from '../execution/refuse-unsupported.js';
import type { Restriction } from '../execution/restriction.js';
import { compileCoercion, type CoerceVariables } from '../execution/variables/coerce-variables.js';
import { planOperation, type PlannedOperation } from '../supergraph/plan-operation.js';
import type { PlanOperation } from '../supergraph/planning/planning.js';
import type { SeparateNames } from '../supergraph/separate-names.js';
import type { Supergraph } from '../supergraph/supergraph.js';
import { operationOf, wholeEvent } from './whole-event.js';
import { normalise, type NormalisedOperation } from './normalise.js';

export interface SubscriptionPlan {
  /** The fetch that is subscribed to; its `operation` is a complete document for its subgraph. */
  readonly primary: FetchNode;
  /** What follows for each event; undefined if the event holds everything. */
  readonly rest: PlanNode | undefined;
  /** Whether an event can be the answer: nothing is fetched, and no other fields are requested. */
  readonly isWhole: boolean;
  /** What of it the client may not see, and is not asked for. */
  readonly denials: Restriction['denials'] | undefined;
  /** What the data has, by the name in the payload, where the two differ. */
  readonly dataNames: SeparateNames['dataNames'];
  readonly document: DocumentNode;
  readonly operation: OperationDefinitionNode;
  readonly supergraph: Supergraph;
  readonly normalised: NormalisedOperation;
  /** Makes the variables of a client ready for it. */
  readonly coerce: CoerceVariables;
  /** How it can be shared by clients that began apart, and taken up again: if its field is `@resumable`. */
  readonly resumption: Resumption | undefined;
}

export interface Resumption {
  /** The document of the primary with `since` as the variable `sinceVariable`. */
  readonly query: string;
  /** Where the client wants to begin. */
  readonly sinceOf: (variables: Readonly<Record<string, unknown>>) => string | undefined;
}

/** Name of the variable for `since` in the document of a resumption. */
export const sinceVariable = 'fleetgraph_since';

/**
 * Plans a validated subscription.
 * @param restriction what of it is not to be sent
 * @param overrides labels of `@override` that are on
 * @throws FleetgraphError BAD_USER_INPUT or GraphQLError if there is no plan for it; FORBIDDEN or UNAUTHENTICATED if nothing is left of it.
 */
export function planSubscription(
  document: DocumentNode,
  operationName: string | undefined,
  supergraph: Supergraph,
  restriction?: Restriction,
  overrides: readonly string[] = [],
): SubscriptionPlan {
  const client = plannableSubscription(document, operationName);
  const planned = planOperation(supergraph, restriction?.allowed ?? document, operationName, overrides);
  return compilePlan({ document, client, supergraph, restriction, overrides }, planned);
}

/** The same with a plan that may take its time. Rejects, or throws, as `plan` does. */
export function planSubscriptionWith(
  plan: PlanOperation,
  document: DocumentNode,
  operationName: string | undefined,
  supergraph: Supergraph,
  restriction?: Restriction,
  overrides: readonly string[] = [],
): SubscriptionPlan | Promise<SubscriptionPlan> {
  const client = plannableSubscription(document, operationName);
  const known = { document, client, supergraph, restriction, overrides };
  const planned = plan(supergraph, restriction?.allowed ?? document, operationName, overrides);
  return planned instanceof Promise ? planned.then((made) => compilePlan(known, made)) : compilePlan(known, planned);
}

function plannableSubscription(document: DocumentNode, operationName: string | undefined): OperationDefinitionNode {
  const client = getOperationAST(document, operationName);
  if (!client) throw new FleetgraphError('BAD_USER_INPUT', 'The document has no operation of that name.');
  refuseUnsupported(document, client);
  refuseConditionalRoot(client);
  return client;
}

function compilePlan(
  known: {
    readonly document: DocumentNode;
    readonly client: OperationDefinitionNode;
    readonly supergraph: Supergraph;
    readonly restriction: Restriction | undefined;
    readonly overrides: readonly string[];
  },
  { queryPlan, dataNames }: PlannedOperation,
): SubscriptionPlan {
  const { document, client, supergraph, restriction, overrides } = known;
  const { node } = queryPlan;
  const [denial] = restriction?.denials.values() ?? [];
  if (node?.kind !== 'Subscription' && denial) throw new FleetgraphError(denial.code, denial.message);
  if (node?.kind !== 'Subscription')
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      'The subscription selects no field of the graph. Select one field of the type Subscription.',
    );
  const { rest } = node;
  const whole = rest === undefined && !restriction ? wholeEvent(client, document, node.primary) : undefined;
  const primary = whole ?? node.primary;
  const resumption = resumptionOf(primary, supergraph);
  return {
    primary,
    rest,
    isWhole: whole !== undefined,
    document,
    operation: client,
    denials: restriction?.denials,
    dataNames,
    supergraph,
    coerce: compileCoercion(supergraph.apiSchema, document, client),
    normalised: withOverrides(normalise(document, client, resumption ? 'since' : undefined), overrides),
    resumption,
  };
}

export type PlanSubscription = (
  ...operation: Parameters<typeof planSubscription>
) => SubscriptionPlan | Promise<SubscriptionPlan>;

/** Clients with other labels follow another subgraph: they don't share a stream. */
function withOverrides(normalised: NormalisedOperation, overrides: readonly string[]): NormalisedOperation {
  return overrides.length === 0 ? normalised : { ...normalised, text: `${normalised.text}\n${overrides.join(' ')}` };
}

/** The planner has no answer to a root field that may not be there; neither has a client. */
function refuseConditionalRoot({ selectionSet }: OperationDefinitionNode): void {
  for (const selection of selectionSet.selections) {
    if ((selection.directives ?? []).some(({ name }) => name.value === 'skip' || name.value === 'include')) {
      throw new FleetgraphError(
        'BAD_USER_INPUT',
        'The root field of a subscription can not carry @skip or @include. Decide before you subscribe.',
      );
    }
    if (selection.kind === Kind.INLINE_FRAGMENT)
      refuseConditionalRoot({ selectionSet: selection.selectionSet } as OperationDefinitionNode);
  }
}

function resumptionOf(primary: FetchNode, { supergraphSchema }: Supergraph): Resumption | undefined {
  const operation = operationOf(parse(primary.operation));
  const root = operation?.selectionSet.selections.find(
    (selection): selection is FieldNode => selection.kind === Kind.FIELD,
  );
  const field = supergraphSchema.getSubscriptionType()?.getFields()[root?.name.value ?? ''];
  const isResumable = field?.astNode?.directives?.some(({ name }) => name.value === 'resumable') === true;
  if (!isResumable || operation === undefined || root === undefined) return undefined;
  const given = root.arguments?.find(({ name }) => name.value === 'since')?.value;
  const fallback =
    given?.kind === Kind.VARIABLE
      ? operation.variableDefinitions?.find(({ variable }) => variable.name.value === given.name.value)?.defaultValue
      : undefined;
  const variable = { kind: Kind.VARIABLE, name: { kind: Kind.NAME, value: sinceVariable } } as const;
  const since = { kind: Kind.ARGUMENT, name: { kind: Kind.NAME, value: 'since' }, value: variable } as const;
  const type = { kind: Kind.NAMED_TYPE, name: { kind: Kind.NAME, value: 'String' } } as const;
  return {
    query: print({
      ...operation,
      variableDefinitions: [
        ...(operation.variableDefinitions ?? []).filter(
          (definition) => given?.kind !== Kind.VARIABLE || definition.variable.name.value !== given.name.value,
        ),
        { kind: Kind.VARIABLE_DEFINITION, variable, type },
      ],
      selectionSet: {
        ...operation.selectionSet,
        selections: [
          { ...root, arguments: [...(root.arguments ?? []).filter(({ name }) => name.value !== 'since'), since] },
        ],
      },
    }),
    sinceOf(variables) {
      const value =
        given?.kind === Kind.VARIABLE
          ? (variables[given.name.value] ?? (fallback ? valueFromASTUntyped(fallback) : undefined))
          : given
            ? valueFromASTUntyped(given)
            : undefined;
      return typeof value === 'string' ? value : undefined;
    },
  };
}
