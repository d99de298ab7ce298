/**
 * What a GraphQL text is refused for before anything is made of it, in one look at its characters. Brackets in each other: a parser
 * calls itself for each, and a text of nothing else would exhaust its stack. Tokens: a parser makes an object of each until there are
 * too many. They are counted low here, two that touch without a sign between them being one (`a...b`), so that nothing is refused that
 * the parser would take; it counts them once more.
 */

/** More than any operation within the limit of depth, its arguments included. */
const maxBrackets = 200;

const [quote, backslash, hash, newline, carriageReturn] = [0x22, 0x5c, 0x23, 0x0a, 0x0d];

/** Of each ASCII character: a part of a name, a number or `...`; a token by itself; or neither. */
const [between, ofWord, sign, opening, closing] = [0, 1, 2, 3, 4];
const kinds = new Uint8Array(128).fill(between);
for (const [characters, kind] of [
  ['ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.+-', ofWord],
  ['!$&:=@|', sign],
  ['{[(', opening],
  ['}])', closing],
] as const)
  for (const character of characters) kinds[character.charCodeAt(0)] = kind;

/** @param maxTokens that a document may have. @returns what is wrong with the text, or undefined. */
export function textFault(text: string, maxTokens: number): string | undefined {
  let [depth, tokens, isInWord] = [0, 0, false];
  for (let index = 0; index < text.length && tokens <= maxTokens; index += 1) {
    const code = text.charCodeAt(index);
    const kind = code < kinds.length ? kinds[code] : between;
    if (kind === ofWord) {
      if (!isInWord) tokens += 1;
      isInWord = true;
      continue;
    }
    isInWord = false;
    if (kind === between) {
      if (code === hash) {
        while (index + 1 < text.length && !isLineEnd(text.charCodeAt(index + 1))) index += 1;
      } else if (code === quote) {
        tokens += 1;
        index = endOfString(text, index);
      }
      continue;
    }
    tokens += 1;
    if (kind === opening) {
      depth += 1;
      if (depth > maxBrackets)
        return `The document has brackets that are nested more than ${maxBrackets} levels deep. Ask for less at once.`;
    } else if (kind === closing) depth -= 1;
  }
  return tokens > maxTokens
    ? `The document has more than ${maxTokens} tokens. Ask for less at once, or send values as variables.`
    : undefined;
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
