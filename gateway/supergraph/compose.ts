import { composeServices } from '@apollo/composition';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parse, printSchema } from 'graphql';
import { buildSupergraph } from './supergraph.js';

/** The subgraphs, by name; the files of their schemas are the only thing of theirs that the gateway knows. */
export const subgraphNames = ['device', 'actions', 'query'] as const;
export type SubgraphName = (typeof subgraphNames)[number];

/** The supergraph SDL of the subgraphs' schemas as they are on disk. @throws Error with every reason that they don't compose. */
export async function composeSupergraph(): Promise<string> {
  const services = await Promise.all(
    subgraphNames.map(async (name) => ({
      name,
      // The addresses are given at start; a made-up one marks any that were forgotten.
      url: `http://${name}.subgraph.invalid/graphql`,
      typeDefs: parse(
        await readFile(fileURLToPath(new URL(`../../subgraphs/${name}/schema.graphql`, import.meta.url)), 'utf8'),
      ),
    })),
  );
  const { supergraphSdl, errors } = composeServices(services);
  if (supergraphSdl === undefined)
    throw new Error(`The subgraphs don't compose:\n${(errors ?? []).map((error) => error.message).join('\n')}`);
  return supergraphSdl;
}

/** What clients see of a supergraph, as SDL. */
export function printApiSchema(supergraphSdl: string): string {
  return `${printSchema(buildSupergraph(supergraphSdl).apiSchema)}\n`;
}
