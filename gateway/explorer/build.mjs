// Builds the explorer into gateway/explorer/dist, at install: GraphiQL with its editor's workers, everything served from
// this machine. Run it by hand after a change of gateway/explorer/app.
import { build } from 'esbuild';
import { copyFile, mkdir, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const require = createRequire(import.meta.url);
const shared = {
  bundle: true,
  minify: true,
  target: 'es2022',
  legalComments: 'none',
  logLevel: 'warning',
  outdir: at('./dist'),
  define: { 'process.env.NODE_ENV': '"production"' },
};

await rm(at('./dist'), { recursive: true, force: true });
await mkdir(at('./dist'), { recursive: true });
await build({
  ...shared,
  entryPoints: { explorer: at('./app/explorer.tsx') },
  format: 'esm',
  jsx: 'automatic',
  loader: { '.ttf': 'file', '.woff2': 'file' },
});
await build({
  ...shared,
  entryPoints: {
    'editor.worker': require.resolve('monaco-editor/esm/vs/editor/editor.worker.js'),
    'json.worker': require.resolve('monaco-editor/esm/vs/language/json/json.worker.js'),
    'graphql.worker': require.resolve('monaco-graphql/esm/graphql.worker.js'),
  },
  format: 'iife',
});
await copyFile(at('./app/index.html'), at('./dist/index.html'));
