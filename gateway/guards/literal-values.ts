/** Validation of what is written as literals in an operation: numbers that are out of range, and members with reserved names. */
import { GraphQLError, Kind, type ASTNode, type ASTVisitor, type ValidationContext, type ValueNode } from 'graphql';
import { outOfRangeFault } from '../execution/variables/number-range.js';
import { isReservedMember, reservedMemberFault } from './reserved-members.js';

/** A rule of validation. Defaults of variables and arguments of directives are literals, too. */
export function literalValues(context: ValidationContext): ASTVisitor {
  const report = (message: string, node: ASTNode): void =>
    context.reportError(new GraphQLError(message, { nodes: node }));
  const checkNumber = (node: ValueNode & { readonly value: string }): void => {
    if (!Number.isFinite(Number(node.value))) report(outOfRangeFault('the operation', node.value), node);
  };
  return {
    IntValue: checkNumber,
    FloatValue: checkNumber,
    ObjectField(node) {
      const name = node.name.value;
      if (isReservedMember(name, hasPrototype(node.value))) report(reservedMemberFault('The operation', name), node);
    },
  };
}

function hasPrototype(value: ValueNode): boolean {
  return value.kind === Kind.OBJECT && value.fields.some(({ name }) => name.value === 'prototype');
}
