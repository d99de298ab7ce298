/**
 * How deep the brackets of a GraphQL text are in each other, counted before anything is made of it: a parser calls itself for
 * each, and a text of nothing but brackets would exhaust its stack.
 */

/** More than any operation within the limit of depth, its arguments included. */
const maxBrackets = 200;

const [quote, backslash, hash, newline, carriageReturn] = [0x22, 0x5c, 0x23, 0x0a, 0x0d];

/** @returns what is wrong with it, or undefined. */
export function nestingFault(text: string): string | undefined {
  let depth = 0;
  for (let index = 0; index < text.length; index += 1) {
    switch (text.charCodeAt(index)) {
      case 0x7b: // {
      case 0x5b: // [
      case 0x28: // (
        depth += 1;
        if (depth > maxBrackets)
          return `The document has brackets that are nested more than ${maxBrackets} levels deep. Ask for less at once.`;
        break;
      case 0x7d:
      case 0x5d:
      case 0x29:
        depth -= 1;
        break;
      case hash:
        while (index + 1 < text.length && !isLineEnd(text.charCodeAt(index + 1))) index += 1;
        break;
      case quote:
        index = endOfString(text, index);
        break;
    }
  }
  return undefined;
}

function isLineEnd(code: number): boolean {
  return code === newline || code === carriageReturn;
}

/** Index of the quotation mark that ends the string which begins at `start`; what has no end, the parser refuses. */
function endOfString(text: string, start: number): number {
  if (text.startsWith('"""', start)) {
    let index = start + 3;
    while (index < text.length && !text.startsWith('"""', index)) index += text.startsWith('\\"""', index) ? 4 : 1;
    return index + 2;
  }
  let index = start + 1;
  while (index < text.length && text.charCodeAt(index) !== quote && !isLineEnd(text.charCodeAt(index)))
    index += text.charCodeAt(index) === backslash ? 2 : 1;
  return index;
}
