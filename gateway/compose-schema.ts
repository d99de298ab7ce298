/**
 * `npm run schema`: composes the subgraphs' schemas into gateway/supergraph.graphql, which the gateway runs on, and prints
 * what clients see into gateway/schema/api.graphql. `npm run schema -- --publish` makes the latter the baseline that a test
 * holds changes against.
 */
import { copyFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { composeSupergraph, printApiSchema } from './supergraph/compose.js';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const supergraphSdl = await composeSupergraph();
await writeFile(at('./supergraph.graphql'), supergraphSdl);
await writeFile(at('./schema/api.graphql'), printApiSchema(supergraphSdl));
if (process.argv.includes('--publish'))
  await copyFile(at('./schema/api.graphql'), at('./schema/published-api.graphql'));
process.stdout.write('Wrote gateway/supergraph.graphql and gateway/schema/api.graphql.\n');
