import { GraphQLError } from 'graphql';
import { expect, test } from 'vitest';
import { errorCodes, FleetgraphError } from '../../../platform/errors.js';
import { graphqlErrorFormatter } from '../../../platform/graphql/errors.js';
import { createErrorLog } from '../../world/error-lines.js';

const { log, lines } = createErrorLog();
const format = graphqlErrorFormatter(log);
const shown = Object.keys(errorCodes).filter((code) => code !== 'INTERNAL_SERVER_ERROR');

test.each(shown)('%s of a subgraph keeps the argument at fault on its way through the gateway', (code) => {
  const error = new GraphQLError('What is wrong.', {
    path: ['a'],
    extensions: { code, field: 'filter.ids[0]', secret: 1 },
  });
  expect(format(error.toJSON(), error)).toEqual({
    message: 'What is wrong.',
    path: ['a'],
    extensions: { code, field: 'filter.ids[0]' },
  });
});

test.each(['GRAPHQL_PARSE_FAILED', 'GRAPHQL_VALIDATION_FAILED', 'BAD_REQUEST'])('%s is BAD_USER_INPUT', (code) => {
  const error = new GraphQLError('No.', { extensions: { code } });
  expect(format(error.toJSON(), error)).toEqual({ message: 'No.', extensions: { code: 'BAD_USER_INPUT' } });
});

test('an error of ours is shown as it is, without a line in the log', () => {
  const original = new FleetgraphError('NOT_FOUND', 'There is none.', { field: 'id' });
  const error = new GraphQLError('There is none.', { path: ['a'], originalError: original });
  expect(format(error.toJSON(), error).extensions).toEqual({ code: 'NOT_FOUND', field: 'id' });
  expect(lines).toEqual([]);
});
