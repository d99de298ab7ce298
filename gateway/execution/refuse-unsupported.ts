/** What validation lets through, and no plan can be executed for. */
import { Kind, visit, type DocumentNode, type OperationDefinitionNode } from 'graphql';
import { FleetgraphError } from '../../platform/errors.js';

/** @throws FleetgraphError BAD_USER_INPUT */
export function refuseUnsupported(document: DocumentNode, operation: OperationDefinitionNode): void {
  visit(document, {
    Directive({ name }) {
      if (name.value === 'defer' || name.value === 'stream')
        throw new FleetgraphError('BAD_USER_INPUT', `@${name.value} is not supported. Ask for everything at once.`);
    },
    Field({ alias, name }) {
      // Joining reads `__typename` of what subgraphs give, so it must mean that.
      if (alias?.value.startsWith('__') === true && alias.value !== name.value)
        throw new FleetgraphError(
          'BAD_USER_INPUT',
          `"${alias.value}" can not be an alias. Names that begin with __ are GraphQL's own.`,
        );
    },
    OperationDefinition: (node) => (node === operation ? undefined : false),
    [Kind.VARIABLE_DEFINITION]: () => false,
  });
}
