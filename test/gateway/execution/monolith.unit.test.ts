/** Whatever is asked, and whatever the data is: the answer is that of one server that has it all. */
import fc from 'fast-check';
import { parse, validate } from 'graphql';
import { expect, test } from 'vitest';
import { dataIn } from '../../../gateway/execution/response/answer.js';
import { executeWhole, federate, operations, worlds } from './monolith.js';

const federated = federate();
const context = { forwarded: {} };
const pathsOf = (errors: readonly { readonly path?: readonly (string | number)[] | undefined }[] = []) =>
  errors.map(({ path }) => JSON.stringify(path)).sort();

test('an operation over two subgraphs has the answer of one server, nulls and the places of errors included', async () => {
  await fc.assert(
    fc.asyncProperty(worlds, operations, fc.boolean(), fc.option(fc.string()), async (world, text, yes, said) => {
      const document = parse(text);
      fc.pre(validate(federated.apiSchema, document).length === 0);
      const variables = { yes, no: !yes, text: said };
      federated.current = world;
      const expected = await executeWhole(world, document, variables);
      const prepared = federated.executor.prepare(document, undefined);
      const { body, errors } = await federated.executor.execute(prepared, { variables, context });
      const data = body && dataIn(body);
      expect(JSON.parse(data ?? '')).toEqual(JSON.parse(JSON.stringify(expected.data)));
      expect(data).toBe(JSON.stringify(expected.data));
      // Two lists that hold the same thing have its error each; a null that covers another one hides its error here or there.
      if (!expected.errors) expect(errors).toEqual([]);
      else {
        expect(errors.length).toBeGreaterThan(0);
        const known = new Set(pathsOf(expected.errors));
        if (known.size === 1) expect(pathsOf(errors)).toEqual(expect.arrayContaining([...known]));
      }
    }),
    { numRuns: 120 },
  );
}, 60_000);
