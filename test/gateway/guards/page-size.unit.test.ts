import { getOperationAST, parse } from 'graphql';
import { expect, test } from 'vitest';
import { pageSizes } from '../../../gateway/guards/page-size.js';
import { parseExactJson } from '../../../platform/json/exact-json.js';

function faultOf(text: string, json: string): string | undefined {
  const document = parse(text);
  const operation = getOperationAST(document);
  if (!operation) throw new Error('no operation');
  return pageSizes(document, operation, 200).faultOf(parseExactJson(json) as Record<string, unknown>);
}

test('a page has 0 to so many', () => {
  const query = 'query ($n: Int) { devices(first: $n) { totalCount } }';
  for (const size of ['0', '200', 'null', '"text"']) expect(faultOf(query, `{"n":${size}}`)).toBeUndefined();
  for (const size of ['201', '9007199254740993', '1e400'])
    expect(faultOf(query, `{"n":${size}}`)).toBe(
      `"first" is ${size}; a page has at most 200. Ask for the next page with its cursor.`,
    );
});
