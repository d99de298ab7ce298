/**
 * From the request of any transport to an operation that may run: parsed, validated, guarded and prepared once for each text.
 * What depends on the text alone is kept.
 */
import {
  getOperationAST,
  Kind,
  OperationTypeNode,
  print,
  type DocumentNode,
  type GraphQLError,
  type OperationDefinitionNode,
} from 'graphql';
import { FleetgraphError } from '../../platform/errors.js';
import type { Identity } from '../../platform/identity/identity.js';
import type { Executor, PreparedOperation } from '../execution/executor.js';
import type { Restriction } from '../execution/restriction.js';
import type { Guards, OperationGuard } from '../guards/guards.js';
import { cacheObserver, type CacheObserver, type GatewayMetrics } from '../gateway-metrics.js';
import type { PlanSubscription, SubscriptionPlan } from '../subscriptions/plan.js';
import { drawsOf, isPercentage, labelsThatAreOn, type OverrideChoice } from '../supergraph/override-labels.js';
import type { Supergraph } from '../supergraph/supergraph.js';
import { createOperationCache, type CacheBounds } from './operation-cache.js';
import { once } from './planned-once.js';

export interface OperationRequest {
  readonly query: string;
  readonly operationName: string | undefined;
}

export interface KnownOperation {
  readonly document: DocumentNode;
  readonly operation: OperationDefinitionNode;
  readonly isSubscription: boolean;
  /** Whether it asks for the schema and nothing else: it reaches no subgraph. */
  readonly asksForSchemaOnly: boolean;
  readonly guard: OperationGuard;
  /**
   * As this caller may run it with these variables.
   * @param choice which subgraphs fields with a labelled `@override` come from; default: as chance decides
   * @throws FleetgraphError BAD_USER_INPUT, FORBIDDEN, UNAUTHENTICATED if it may not.
   */
  admit(
    identity: Identity | undefined,
    variables: Readonly<Record<string, unknown>>,
    choice?: OverrideChoice,
  ): Admitted;
  /** For whom it has been planned: one for each of those whose plans differ. */
  readonly plannedFor: () => readonly PlannedFor[];
  /** Plans it for a caller, whatever chance decides. Rejects as `admit` throws. */
  planFor(caller: PlannedFor): Promise<void>;
}

/**
 * Planned when it is first wanted; a promise until the plan is there. What can't be planned throws (or rejects with) why, each time
 * the same: it is not tried twice, since trying is what costs.
 */
export interface Admitted {
  /** Of a query or mutation. */
  readonly prepared: () => PreparedOperation | Promise<PreparedOperation>;
  readonly subscriptionPlan: () => SubscriptionPlan | Promise<SubscriptionPlan>;
}

/** @returns the operation, or what is wrong with it. @throws FleetgraphError if it may not run. */
export type FindOperation = (request: OperationRequest) => KnownOperation | readonly GraphQLError[];

/** A caller, as far as plans depend on it. */
export interface PlannedFor {
  readonly identity: Identity | undefined;
  /** Labels of `@override` that were on. */
  readonly overrides: readonly string[];
}

interface Variant extends Admitted, PlannedFor {
  readonly isPlanned: () => boolean;
}

/** What it takes to plan an operation, for those who may see what is left of it. */
type Plan<Planned> = (restriction: Restriction | undefined, overrides: readonly string[]) => Planned | Promise<Planned>;

interface KnownDocument {
  readonly document: DocumentNode;
  readonly supergraph: Supergraph;
  readonly operations: Map<string | undefined, KnownOperation>;
}

export interface Operations {
  /** Looks an operation up for a client that runs it, which counts as use. */
  readonly find: FindOperation;
  /** Looks up a running operation, without counting it as use in the cache. */
  readonly peek: FindOperation;
  /**
   * Plans what clients use, what was used last first, for a supergraph that is to come: until the signal, or for so long.
   * Others are served in between.
   * @returns has all of that found once the supergraph is the current one; to be called then.
   */
  warmUp(next: Supergraph, signal: AbortSignal, options?: WarmUpOptions): Promise<() => void>;
}

export interface WarmUpOptions {
  /** What streams are open of: clients may have asked for it once, and use it all the time. */
  readonly subscribedTo?: Iterable<DocumentNode>;
  readonly forMs?: number;
}

/** Callers that may see different parts of one operation, or from different subgraphs. */
const maxVariants = 32;
const none: ReadonlySet<string> = new Set();
const byChance: OverrideChoice = {};
/** Longer than that a new supergraph does not wait for what could be ready. */
const warmUpMs = 10_000;

export function createOperations(options: {
  supergraph: () => Supergraph;
  /** Plans and compiles a query or mutation. */
  prepare: (...operation: Parameters<Executor['prepare']>) => PreparedOperation | Promise<PreparedOperation>;
  planSubscription: PlanSubscription;
  guards: Guards;
  /** Labels of `@override` that are on for all requests. */
  overrideLabels?: ReadonlySet<string>;
  cache?: CacheBounds;
  metrics?: GatewayMetrics;
}): Operations {
  const { guards, metrics } = options;
  const seen = metrics && cacheObserver(metrics, 'operations');
  const planned = metrics && cacheObserver(metrics, 'plans');
  const kept = createOperationCache<KnownDocument>(options.cache, seen);
  const timed = <Planned>(plan: () => Planned | Promise<Planned>): Planned | Promise<Planned> => {
    const end = metrics?.planSeconds.startTimer();
    let planned: Planned | Promise<Planned> | undefined;
    try {
      planned = plan();
      return planned instanceof Promise ? planned.finally(end) : planned;
    } finally {
      if (!(planned instanceof Promise)) end?.();
    }
  };

  const read = (text: string, supergraph: Supergraph): KnownDocument | readonly GraphQLError[] => {
    const document = guards.parse(text, supergraph);
    return 'kind' in document ? { document, supergraph, operations: new Map() } : document;
  };
  /** The `known` document if it is of the current supergraph, else parsed again. */
  const documentOf = (
    text: string,
    known: KnownDocument | undefined,
    observer: CacheObserver | undefined,
  ): KnownDocument | readonly GraphQLError[] => {
    const supergraph = options.supergraph();
    if (known?.supergraph === supergraph) {
      observer?.hit();
      return known;
    }
    observer?.miss();
    const made = read(text, supergraph);
    if ('document' in made) kept.set(text, made);
    return made;
  };
  const operationIn = (found: KnownDocument, operationName: string | undefined): KnownOperation => {
    const known = found.operations.get(operationName);
    if (known) return known;
    const { document, supergraph } = found;
    const operation = getOperationAST(document, operationName);
    if (!operation)
      throw new FleetgraphError(
        'BAD_USER_INPUT',
        'The document has no operation of that name, or several and none is named.',
      );
    const made = knownOperation({
      document,
      operation,
      planned,
      guard: guards.guard(document, operation, supergraph),
      labels: supergraph.overrideLabels?.(document, operation) ?? [],
      alwaysOn: options.overrideLabels ?? none,
      prepare: (restriction, overrides) =>
        timed(() => options.prepare(document, operationName, supergraph, restriction, overrides)),
      planSubscription: (restriction, overrides) =>
        timed(() => options.planSubscription(document, operationName, supergraph, restriction, overrides)),
    });
    found.operations.set(operationName, made);
    return made;
  };
  /** What was planned of the text, planned for the next supergraph. */
  const renew = async (former: KnownDocument, text: string, next: Supergraph): Promise<KnownDocument | undefined> => {
    const made = read(text, next);
    if (!('document' in made)) return undefined;
    for (const [name, { plannedFor }] of former.operations) {
      const operation = operationIn(made, name);
      for (const caller of plannedFor()) await operation.planFor(caller);
    }
    return made;
  };

  return {
    find({ query, operationName }) {
      const found = documentOf(query, kept.get(query), seen);
      return 'document' in found ? operationIn(found, operationName) : found;
    },
    peek({ query, operationName }) {
      const found = documentOf(query, kept.peek(query), undefined);
      return 'document' in found ? operationIn(found, operationName) : found;
    },
    async warmUp(next, signal, { subscribedTo = [], forMs = warmUpMs } = {}) {
      const until = performance.now() + forMs;
      const ready: [string, KnownDocument][] = [];
      for (const text of new Set([...kept.used(), ...[...subscribedTo].map(textOf)])) {
        if (signal.aborted || performance.now() > until) break;
        const former = kept.peek(text);
        if (!former) continue;
        try {
          const made = await renew(former, text, next);
          if (made) ready.push([text, made]);
        } catch {
          // It may not run over the next one; whoever asks for it will be told why.
        }
        await turn();
      }
      // What was used last is set last.
      return () => {
        for (const [text, made] of ready.reverse()) kept.set(text, made);
      };
    },
  };
}

/** Resolves when what was waiting has had its turn. */
async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/** The text by which an operation is known. */
export function textOf(document: DocumentNode): string {
  return document.loc?.source.body ?? print(document);
}

function knownOperation({
  document,
  operation,
  guard,
  labels,
  alwaysOn,
  planned,
  prepare,
  planSubscription,
}: {
  document: DocumentNode;
  operation: OperationDefinitionNode;
  guard: OperationGuard;
  /** On which its plan depends. */
  labels: readonly string[];
  alwaysOn: ReadonlySet<string>;
  planned: CacheObserver | undefined;
  prepare: Plan<PreparedOperation>;
  planSubscription: Plan<SubscriptionPlan>;
}): KnownOperation {
  const isSubscription = operation.operation === OperationTypeNode.SUBSCRIPTION;
  const variants = new Map<string, Variant>();
  const variantFor = (identity: Identity | undefined, choice: OverrideChoice): Variant => {
    const { variant, restriction } = guard.restrictionFor(identity);
    const overrides = labelsThatAreOn(labels, alwaysOn, choice);
    const key = overrides.length === 0 ? variant : `${variant} ${overrides.join(' ')}`;
    const known = variants.get(key);
    if (known) return known;
    const prepared = once(() => prepare(restriction, overrides), planned);
    const subscriptionPlan = once(() => planSubscription(restriction, overrides), planned);
    const made: Variant = {
      identity,
      overrides,
      prepared,
      subscriptionPlan,
      isPlanned: () => (isSubscription ? subscriptionPlan : prepared).hasValue(),
    };
    if (variants.size >= maxVariants) variants.clear();
    variants.set(key, made);
    return made;
  };
  return {
    document,
    operation,
    guard,
    isSubscription,
    asksForSchemaOnly: operation.selectionSet.selections.every(
      (selection) => selection.kind === Kind.FIELD && selection.name.value.startsWith('__'),
    ),
    admit(identity, variables, choice = byChance) {
      guard.admit(variables);
      return variantFor(identity, choice);
    },
    plannedFor: () => [...variants.values()].filter(({ isPlanned }) => isPlanned()),
    async planFor({ identity, overrides }) {
      const asked = new Set(overrides.filter((label) => !isPercentage(label)));
      for (const overrideDraw of drawsOf(labels)) {
        const { prepared, subscriptionPlan } = variantFor(identity, { overrideLabels: asked, overrideDraw });
        await (isSubscription ? subscriptionPlan() : prepared());
      }
    },
  };
}
