/** Operations that are made to cost more than they may: each with the words by which it is refused. Tests and a benchmark send them. */
export interface Attack {
  readonly name: string;
  /** JSON of a request. */
  readonly body: () => string;
  readonly status: number;
  /** Part of the message. */
  readonly says: string;
}

const times = (count: number, text: (index: number) => string, separator = ' '): string =>
  Array.from({ length: count }, (_unused, index) => text(index)).join(separator);
const operation = (query: string, variables?: unknown) => (): string => JSON.stringify({ query, variables });
const nested = (depth: number, open: string, inside: string): string =>
  `${open.repeat(depth)}${inside}${'}'.repeat(depth * (open.split('{').length - 1))}`;

export const attacks: readonly Attack[] = [
  {
    name: 'fields that are deep in each other',
    body: operation(`{ device(id: "a") { ${nested(10, 'commands { edges { node { device { ', 'id')} } }`),
    status: 400,
    says: 'nested more than 15 levels deep',
  },
  {
    name: 'brackets without end',
    body: operation('{ a'.repeat(100_000)),
    status: 400,
    says: 'more than 200 levels deep',
  },
  {
    name: 'a list literal that is deep in itself',
    body: operation(`{ device(id: ${'['.repeat(5_000)}${']'.repeat(5_000)}) { id } }`),
    status: 400,
    says: 'more than 200 levels deep',
  },
  {
    name: 'more tokens than anyone writes',
    body: operation(`{ ${times(20_000, () => 'fleet')} }`),
    status: 400,
    says: '15000 tokens',
  },
  {
    name: 'a thousand aliases of one field',
    body: operation(`{ ${times(1_000, (index) => `a${index}: fleet { devices }`)} }`),
    status: 400,
    says: 'more than 200 aliases',
  },
  {
    name: 'many root fields',
    body: operation(`{ ${times(60, (index) => `a${index}: fleet { devices }`)} }`),
    status: 400,
    says: 'more than 50 root fields',
  },
  {
    name: 'a thousand directives on one field',
    body: operation(`{ fleet ${times(1_000, () => '@include(if: true)')} { devices } }`),
    status: 400,
    says: 'more than 200 directives',
  },
  {
    name: 'a fragment that spreads itself',
    body: operation(
      '{ fleet { ...A } } fragment A on FleetSummary { devices ...B } fragment B on FleetSummary { ...A }',
    ),
    status: 400,
    says: 'Cannot spread fragment "A" within itself',
  },
  {
    name: 'fragments that stand for millions of fields',
    body: operation(
      `{ fleet { ...F0 } } ${times(40, (index) => `fragment F${index} on FleetSummary { x { ...F${index + 1} } y { ...F${index + 1} } }`)} fragment F40 on FleetSummary { devices }`,
    ),
    status: 400,
    says: 'more than 5000 fields',
  },
  {
    name: 'one field, seven thousand times',
    body: operation(`{ fleet { ${times(7_000, () => 'devices')} } }`),
    status: 400,
    says: 'more than 20000 repetitions',
  },
  {
    name: 'fields of one name, to be compared with each other',
    body: operation(`{ ${times(1_000, () => 'fleet { devices online }')} }`),
    status: 400,
    says: 'more than 20000 repetitions',
  },
  {
    name: 'fragments to be compared with each other',
    body: operation(
      `{ fleet { ${times(700, (index) => `...F${index}`)} } } ${times(700, (index) => `fragment F${index} on FleetSummary { devices }`)}`,
    ),
    status: 400,
    says: 'more than 20000 repetitions',
  },
  {
    name: 'fragments that nobody spreads, to be compared all the same',
    body: operation(`{ fleet { devices } } fragment F on FleetSummary { ${times(4_000, () => 'devices')} }`),
    status: 400,
    says: 'more than 20000 repetitions',
  },
  {
    name: 'lists inside of lists',
    body: operation(
      '{ devices(first: 200) { edges { node { commands(first: 200) { edges { node { device { commands(first: 200) { edges { node { id } } } } } } } } } } }',
    ),
    status: 400,
    says: 'of at most 250000',
  },
  {
    name: 'a page of a million',
    body: operation('query ($n: Int) { devices(first: $n) { edges { cursor } } }', { n: 1_000_000 }),
    status: 400,
    says: 'a page has at most 1000',
  },
  {
    name: 'variables without end',
    body: operation('query ($id: ID!) { device(id: $id) { id } }', { id: 'x'.repeat(3_000_000) }),
    status: 413,
    says: 'large',
  },
  {
    name: 'as many variables as a body can hold',
    body: operation('query ($id: ID!) { device(id: $id) { id } }', { id: 'x'.repeat(1_500_000) }),
    status: 413,
    says: 'of at most 1048576',
  },
  {
    name: 'variables that are deep in each other',
    body: () =>
      `{"query":"query ($id: ID!) { device(id: $id) { id } }","variables":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`,
    status: 400,
    says: 'nested more than 32 levels deep',
  },
  {
    name: 'arrays that never end',
    body: () => '['.repeat(1_500_000),
    status: 400,
    says: 'nested more than 32 levels deep',
  },
  {
    name: 'a body that is too long',
    body: () => `"${' '.repeat(5_000_000)}"`,
    status: 413,
    says: 'large',
  },
  {
    name: 'a variable that would change a prototype',
    body: () => '{"query":"query ($id: ID!) { device(id: $id) { id } }","variables":{"__proto__":{"isAdmin":true}}}',
    status: 400,
    says: '"__proto__", a name that is reserved',
  },
  {
    name: 'an alias that would change a prototype',
    body: operation('{ __proto__: fleet { constructor: devices } }'),
    status: 400,
    says: '"__proto__" can not be the name of an alias',
  },
  {
    name: 'a batch of ten thousand',
    body: () => JSON.stringify(Array.from({ length: 10_000 }, () => ({ query: '{ fleet { devices } }' }))),
    status: 400,
    says: 'Batches are not taken',
  },
  {
    name: 'many operations in one document, each with the same large fragment',
    body: operation(
      `${times(700, (index) => `query Q${index} { ...F }`)} fragment F on Query { ${times(40, (index) => `fleet${index}`)} }`,
    ),
    status: 400,
    says: 'more than 20000 fields in all',
  },
  {
    name: 'names that are nearly right, to have the schema guessed',
    body: operation(`{ ${times(40, (index) => `devic${index}`)} }`),
    status: 400,
    says: 'Cannot query field',
  },
];
