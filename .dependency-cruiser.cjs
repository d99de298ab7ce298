/** Dependencies point down only: cli -> services -> backbone -> platform. See docs/architecture.md. */
const services = '^(gateway|bridge|subgraphs/[^/]+|workers/[^/]+)/';
/** Of the gateway, from the top: each may use those below it. */
const gatewayLayers = ['gateway.ts', 'transports/', 'guards/', 'subscriptions/', 'execution/', 'supergraph/'];

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'platform-knows-nothing-above',
      comment: 'Only the composition root (cli) knows everybody.',
      severity: 'error',
      from: { path: '^platform/' },
      to: { path: '^(gateway|subgraphs|bridge|backbone|workers)/' },
    },
    {
      name: 'backbone-knows-only-platform',
      severity: 'error',
      from: { path: '^backbone/' },
      to: { path: '^(gateway|subgraphs|bridge|workers)/' },
    },
    {
      name: 'siblings-never-import-each-other',
      comment: 'Services meet in the graph, on the bus, or not at all.',
      severity: 'error',
      from: { path: services },
      to: { path: services, pathNot: '^$1/' },
    },
    ...gatewayLayers.slice(1).map((layer, above) => ({
      name: 'gateway-points-down',
      comment: 'See gateway/README.md.',
      severity: 'error',
      from: { path: `^gateway/${layer}` },
      to: { path: `^gateway/(${gatewayLayers.slice(0, above + 1).join('|')})` },
    })),
    {
      name: 'nobody-imports-the-composition-root',
      severity: 'error',
      from: { pathNot: '^(cli|test|bench)/' },
      to: { path: '^cli/' },
    },
    {
      name: 'no-tests-in-production',
      severity: 'error',
      from: { pathNot: '^(test|bench)/' },
      to: { path: '^(test|bench)/' },
    },
    {
      name: 'kafkajs-only-behind-the-bus',
      comment: 'Its faults are known, and kept there (ADR 15).',
      severity: 'error',
      from: { pathNot: '^(backbone/bus/kafka|test|bench)/' },
      to: { path: '^node_modules/kafkajs/' },
    },
    {
      name: 'not-to-unresolvable',
      comment: 'What a peer of the benchmarks imports is installed when it is measured.',
      severity: 'error',
      from: { pathNot: '^bench/peers/mercurius/' },
      to: { couldNotResolve: true },
    },
    {
      name: 'no-dev-dependency-in-production',
      severity: 'error',
      from: { path: '^(gateway|subgraphs|bridge|backbone|workers|platform|cli)/', pathNot: '^gateway/explorer/' },
      to: { dependencyTypes: ['npm-dev'], pathNot: 'node_modules/@types/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^prisma/generated|^gateway/explorer/dist' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
