import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

test('nothing of how the gateway is used leaves the machine', () => {
  // The class of @apollo/gateway looks for the metadata of a cloud, and sends what it finds, and how it is used, to its maker.
  const files = readdirSync('gateway', { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  expect(files.length).toBeGreaterThan(20);
  expect(files.filter((name) => readFileSync(`gateway/${name}`, 'utf8').includes('ApolloGateway('))).toEqual([]);
});
