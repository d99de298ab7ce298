/** The value of a constant literal as JSON would have it, with the digits of its numbers. */
import { Kind, type ConstValueNode } from 'graphql';
import { exactNumber } from '../../../platform/json/exact-json.js';

export function exactValueOf(node: ConstValueNode): unknown {
  switch (node.kind) {
    case Kind.NULL:
      return null;
    case Kind.INT:
    case Kind.FLOAT:
      return exactNumber(node.value);
    case Kind.LIST:
      return node.values.map(exactValueOf);
    case Kind.OBJECT:
      return Object.fromEntries(node.fields.map(({ name, value }) => [name.value, exactValueOf(value)]));
    default:
      return node.value;
  }
}
