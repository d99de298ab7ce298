/** Lists that stand in the documentation and in the code say the same. */
import { expect, test } from 'vitest';
import { catalogue } from '../../backbone/events/catalogue.js';
import { rejectionReasons } from '../../bridge/decoders/decoder.js';
import { settings } from '../../platform/config/settings.js';
import { errorCodes } from '../../platform/errors.js';
import { scopes } from '../../platform/identity/identity.js';
import { code, read, tableRows } from './repository.js';

test('docs/configuration.md has every variable with its default, and no other', () => {
  const documented = tableRows(read('docs/configuration.md'), 'variable').map(([variable, byDefault]) => [
    code(variable),
    code(byDefault),
  ]);
  const actual = Object.entries(settings).map(([variable, schema]) => {
    const byDefault = schema.parse(undefined);
    return [variable, byDefault === undefined ? '' : String(byDefault)];
  });
  expect(documented).toEqual(actual);
});

test('docs/errors.md lists the codes with their HTTP statuses', () => {
  const documented = tableRows(read('docs/errors.md'), 'code').filter(([name]) => code(name) !== '');
  expect(documented.map(([name, status]) => [code(name), Number(status)])).toEqual(
    Object.entries(errorCodes).map(([name, { httpStatus }]) => [name, httpStatus]),
  );
});

test('docs/events.md lists the types of the catalogue, with all fields of their data', () => {
  const rows = tableRows(read('docs/events.md'), 'type');
  expect(rows.map(([type]) => code(type))).toEqual(Object.keys(catalogue));
  const missing = rows.flatMap(([type, data]) =>
    Object.keys(catalogue[code(type) as keyof typeof catalogue].shape)
      .filter((field) => data?.includes(`\`${field}\``) !== true)
      .map((field) => `${code(type)}: ${field}`),
  );
  expect(missing).toEqual([]);
});

test('docs/mqtt.md lists the reasons for refusing a message, with what they mean', () => {
  expect(tableRows(read('docs/mqtt.md'), 'reason').map(([reason, meaning]) => [code(reason), meaning])).toEqual(
    Object.entries(rejectionReasons),
  );
});

test('docs/tokens.md lists the scopes, with what they allow', () => {
  expect(tableRows(read('docs/tokens.md'), 'scope').map(([scope, allows]) => [code(scope), allows])).toEqual(
    Object.entries(scopes),
  );
});

test('docs/dependencies.md gives a reason for each package of package.json, and for no other', () => {
  const manifest = JSON.parse(read('package.json')) as Record<
    'dependencies' | 'devDependencies',
    Record<string, string>
  >;
  const documented = tableRows(read('docs/dependencies.md'), 'package');
  expect(documented.map(([name]) => code(name))).toEqual([
    ...Object.keys(manifest.dependencies).sort(),
    ...Object.keys(manifest.devDependencies).sort(),
  ]);
  expect(documented.filter(([, reason]) => (reason ?? '').length < 6)).toEqual([]);
});
