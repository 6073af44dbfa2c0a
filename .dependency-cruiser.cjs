/**
 * Who may import whom; ARCHITECTURE.md explains it, test/architecture proves that it bites. Import
 * cycles are Biome's to find (noImportCycles): swc, which parses here, cannot tell types from values.
 */
module.exports = {
  forbidden: [
    {
      name: 'service-to-service',
      comment: 'A service never imports another service; only services/cli composes them.',
      severity: 'error',
      from: { path: '^services/([^/]+)/', pathNot: '^services/cli/' },
      to: { path: '^services/', pathNot: '^services/$1/' },
    },
    {
      name: 'cli-through-the-door',
      comment: 'The composition root imports a service by its module only.',
      severity: 'error',
      from: { path: '^services/cli/' },
      to: {
        path: '^services/[^/]+/',
        pathNot: ['^services/cli/', '^services/[^/]+/src/module\\.ts$'],
      },
    },
    {
      name: 'lib-to-service',
      comment: 'Libraries know no service.',
      severity: 'error',
      from: { path: '^libs/' },
      to: { path: '^services/' },
    },
    {
      name: 'core-imports-nothing',
      severity: 'error',
      from: { path: '^libs/core/', pathNot: '\\.test\\.ts$' },
      to: { path: '^libs/', pathNot: '^libs/core/' },
    },
    {
      name: 'testkit-in-tests-only',
      severity: 'error',
      from: {
        path: '^(libs|services)/',
        pathNot: ['\\.(test|suite)\\.ts$', '/testing/', '^libs/testkit/'],
      },
      to: { path: '^libs/testkit/' },
    },
    {
      name: 'one-vendor-one-place',
      comment: 'A seam that leaks its vendor is not a seam.',
      severity: 'error',
      from: {
        path: '^(libs|services)/',
        pathNot: ['^libs/rpc/', '^libs/etcd/', '^libs/lmdb/', '^libs/amqp/'],
      },
      to: { path: 'node_modules/(@grpc/|lmdb|etcd3|amqplib)' },
    },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    parser: 'swc',
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(/dist/|/gen/)' },
    tsConfig: { fileName: 'tsconfig.base.json' },
    enhancedResolveOptions: {
      conditionNames: ['source', 'import', 'node', 'default'],
      exportsFields: ['exports'],
      extensions: ['.ts', '.js'],
    },
  },
};
