/** How much of a list may be asked for at once: the greatest value of the arguments `first` and `last`, wherever they are. */
import { Kind, visit, type DocumentNode, type OperationDefinitionNode } from 'graphql';
import { isLosslessNumber } from '../../platform/json/exact-json.js';

const slicingArguments = new Set(['first', 'last']);

export interface PageSizes {
  /** What is wrong with the literal values; undefined if nothing is. */
  readonly fault: string | undefined;
  /** @returns what is wrong with the variables. */
  faultOf(variables: Readonly<Record<string, unknown>>): string | undefined;
}

export function pageSizes(document: DocumentNode, operation: OperationDefinitionNode, max: number): PageSizes {
  let fault: string | undefined;
  const names = new Map<string, string>();
  visit(document, {
    Argument({ name, value }) {
      if (!slicingArguments.has(name.value)) return;
      if (value.kind === Kind.INT && Number(value.value) > max) fault = message(name.value, value.value, max);
      if (value.kind === Kind.VARIABLE) names.set(value.name.value, name.value);
    },
  });
  for (const { variable, defaultValue } of operation.variableDefinitions ?? []) {
    const argument = names.get(variable.name.value);
    if (argument !== undefined && defaultValue?.kind === Kind.INT && Number(defaultValue.value) > max)
      fault = message(argument, defaultValue.value, max);
  }
  return {
    fault,
    faultOf(variables) {
      for (const [variable, argument] of names) {
        const value = variables[variable];
        const isNumber = typeof value === 'number' || isLosslessNumber(value);
        if (isNumber && Number(String(value)) > max) return message(argument, String(value), max);
      }
      return undefined;
    },
  };
}

function message(argument: string, value: string, max: number): string {
  return `"${argument}" is ${value}; a page has at most ${max}. Ask for the next page with its cursor.`;
}
