/**
 * `npm run schema`: composes the subgraphs' schemas into gateway/supergraph.graphql, which the gateway runs on, and prints
 * what clients see into gateway/schema/api.graphql. `npm run schema -- --publish`, at a release, makes the whole of the latter the
 * baseline that a test checks changes against, with the version in its first line.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { composeSupergraph, printApiSchema } from './supergraph/compose.js';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const supergraphSdl = await composeSupergraph();
await writeFile(at('./supergraph.graphql'), supergraphSdl);
const apiSdl = printApiSchema(supergraphSdl);
await writeFile(at('./schema/api.graphql'), apiSdl);
if (process.argv.includes('--publish')) {
  const { version } = JSON.parse(await readFile(at('../package.json'), 'utf8')) as { readonly version: string };
  await writeFile(at('./schema/published-api.graphql'), `# The API of version ${version}.\n${apiSdl}`);
}
process.stdout.write('Wrote gateway/supergraph.graphql and gateway/schema/api.graphql.\n');
