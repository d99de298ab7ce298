/**
 * What stands between a client's operation and its execution, in the order in which it costs more to look: the text (brackets,
 * tokens), the document (how much it asks for: operation-size.ts), validation with rules of ours (depth, pages, introspection),
 * what it would cost with its variables (cost/), and what its caller may see (access/). Everything that depends on the operation
 * alone is found once and kept with it.
 */
import {
  GraphQLError,
  NoSchemaIntrospectionCustomRule,
  parse,
  specifiedRules,
  validate,
  valueFromASTUntyped,
  type DocumentNode,
  type OperationDefinitionNode,
} from 'graphql';
import type { GraphLimits } from '../../platform/config/gateway-settings.js';
import { FleetgraphError } from '../../platform/errors.js';
import type { Identity } from '../../platform/identity/identity.js';
import type { Restriction } from '../execution/restriction.js';
import type { Supergraph } from '../supergraph/supergraph.js';
import { createAccessRules, type AccessRules } from './access/access-rules.js';
import { grantsOf } from './access/grants.js';
import { operationAccess } from './access/operation-access.js';
import { costOf } from './cost/cost.js';
import { createCostModel, type CostModel } from './cost/cost-model.js';
import type { Variables } from './cost/cost-tree.js';
import { depthLimit } from './depth-limit.js';
import { textFault } from './document-text.js';
import type { KnownOperations } from './known-operations.js';
import { literalValues } from './literal-values.js';
import { sizeFault } from './operation-size.js';
import { pageSizes } from './page-size.js';

export interface Guards {
  /** The document. @returns what is wrong with it, else. */
  parse(text: string, supergraph: Supergraph): DocumentNode | readonly GraphQLError[];
  /** @throws FleetgraphError BAD_USER_INPUT if it asks for more than may be asked for, whatever its variables are. */
  guard(document: DocumentNode, operation: OperationDefinitionNode, supergraph: Supergraph): OperationGuard;
}

export interface OperationGuard {
  /** @throws FleetgraphError BAD_USER_INPUT if it asks for too much with these variables. */
  admit(variables: Variables): void;
  /**
   * What the caller may not see, once for all callers that may see the same.
   * @throws FleetgraphError FORBIDDEN or UNAUTHENTICATED where such an operation is refused as a whole.
   */
  restrictionFor(identity: Identity | undefined): { readonly variant: string; readonly restriction?: Restriction };
  /** What it costs at most, and what it did cost. */
  costs(
    variables: Variables,
    data: unknown,
  ): { readonly estimated: number; readonly actual: number; readonly limit: number };
}

interface OfSupergraph {
  readonly cost: CostModel;
  readonly access: AccessRules;
}

export function createGuards(limits: GraphLimits, known: KnownOperations | undefined): Guards {
  const rules = [
    ...specifiedRules,
    depthLimit(limits.depth),
    literalValues,
    ...(limits.introspection ? [] : [NoSchemaIntrospectionCustomRule]),
  ];
  const knowledge = new WeakMap<Supergraph, OfSupergraph>();
  const of = (supergraph: Supergraph): OfSupergraph => {
    const before = knowledge.get(supergraph);
    if (before) return before;
    const { supergraphSchema } = supergraph;
    const made = {
      cost: createCostModel(supergraphSchema, limits.listSize),
      access: createAccessRules(supergraphSchema),
    };
    knowledge.set(supergraph, made);
    return made;
  };

  return {
    parse(text, { apiSchema }) {
      if (limits.persistedOnly && known?.texts.has(text) !== true)
        throw new FleetgraphError(
          'FORBIDDEN',
          'This gateway runs the operations that are known to it and no others. Have this one added to them.',
        );
      const fault = textFault(text, limits.tokens);
      if (fault !== undefined) return [new GraphQLError(fault)];
      let document: DocumentNode;
      try {
        document = parse(text, { maxLexicalTokens: limits.tokens });
      } catch (error) {
        if (error instanceof GraphQLError) return [error];
        throw error;
      }
      const size = sizeFault(document, limits);
      if (size !== undefined) return [new GraphQLError(size)];
      const faults = validate(apiSchema, document, rules, { maxErrors: 20, hideSuggestions: !limits.introspection });
      return faults.length > 0 ? faults : document;
    },

    guard(document, operation, supergraph) {
      const { cost: model, access: accessRules } = of(supergraph);
      const pages = pageSizes(document, operation, limits.pageSize);
      if (pages.fault !== undefined) throw new FleetgraphError('BAD_USER_INPUT', pages.fault);
      const cost = costOf(model, document, operation);
      const access = operationAccess(accessRules, supergraph.supergraphSchema, document, operation);
      const defaults = defaultsOf(operation);
      const restrictions = new Map<string, Restriction>();
      return {
        admit(given) {
          const fault = pages.faultOf(given);
          if (fault !== undefined) throw new FleetgraphError('BAD_USER_INPUT', fault);
          const estimated = cost.estimate(defaults ? { ...defaults, ...given } : given);
          if (estimated > limits.cost)
            throw new FleetgraphError(
              'BAD_USER_INPUT',
              `The operation may cost ${estimated}, of at most ${limits.cost}: so many objects could be in its answer. Ask for smaller pages, or for fewer lists inside of lists.`,
            );
        },
        restrictionFor(identity) {
          const grants = grantsOf(identity);
          const variant = access.variantFor(grants);
          if (variant === '') return { variant };
          const restriction = restrictions.get(variant) ?? access.restrictionFor(grants);
          if (!restriction) return { variant };
          restrictions.set(variant, restriction);
          if (limits.authorization === 'refuse') {
            const [denial] = restriction.denials.values();
            if (denial) throw new FleetgraphError(denial.code, denial.message);
          }
          return { variant, restriction };
        },
        costs(given, data) {
          const variables = defaults ? { ...defaults, ...given } : given;
          return { estimated: cost.estimate(variables), actual: cost.actual(data, variables), limit: limits.cost };
        },
      };
    },
  };
}

function defaultsOf({ variableDefinitions = [] }: OperationDefinitionNode): Variables | undefined {
  const given = variableDefinitions.flatMap(({ variable, defaultValue }) =>
    defaultValue ? [[variable.name.value, valueFromASTUntyped(defaultValue)] as const] : [],
  );
  return given.length === 0 ? undefined : Object.fromEntries(given);
}
