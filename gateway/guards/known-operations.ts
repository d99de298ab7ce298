/**
 * Operations that are known in advance: what a build of a front end has extracted. A client may send the id of one in place of
 * its text; by a setting no others are run. Read from a manifest of Apollo (`generate-persisted-query-manifest`), one of Relay
 * (`{ "<id>": "<text>" }`), or a directory of those and of `.graphql` files, whose ids are the SHA-256 of their text.
 * Source: https://www.apollographql.com/docs/graphos/platform/security/persisted-queries#manifest-format
 */
import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { messageOf, StartupError } from '../../platform/errors.js';

export interface KnownOperations {
  /** Text by id. */
  readonly byId: ReadonlyMap<string, string>;
  /** All texts. */
  readonly texts: ReadonlySet<string>;
}

const apolloManifest = z.object({
  format: z.literal('apollo-persisted-query-manifest'),
  version: z.literal(1),
  operations: z.array(z.object({ id: z.string().min(1), body: z.string().min(1) })),
});
const relayManifest = z.record(z.string().min(1), z.string().min(1));

/** @param path file or directory. @throws StartupError that says what is wrong with which file. */
export async function readKnownOperations(path: string): Promise<KnownOperations> {
  const byId = new Map<string, string>();
  for (const file of await filesAt(path))
    for (const [id, text] of await operationsIn(file)) {
      const other = byId.get(id);
      if (other !== undefined && other !== text)
        throw new StartupError(
          `GATEWAY_PERSISTED_OPERATIONS has two operations with the id "${id}"; one is in ${file}.`,
        );
      byId.set(id, text);
    }
  return { byId, texts: new Set(byId.values()) };
}

async function filesAt(path: string): Promise<readonly string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    const names = await readdir(path, { recursive: true });
    return names
      .filter((name) => /\.(json|graphql|gql)$/.test(name))
      .sort()
      .map((name) => join(path, name));
  } catch (error) {
    throw new StartupError(`GATEWAY_PERSISTED_OPERATIONS is "${path}", which can't be read: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

async function operationsIn(file: string): Promise<readonly (readonly [string, string])[]> {
  const content = await readFile(file, 'utf8');
  if (!file.endsWith('.json')) return [[sha256(content), content]];
  let json: unknown;
  try {
    json = JSON.parse(content);
  } catch (error) {
    throw new StartupError(`${file} of GATEWAY_PERSISTED_OPERATIONS is not JSON: ${messageOf(error)}`, {
      cause: error,
    });
  }
  const apollo = apolloManifest.safeParse(json);
  if (apollo.success) return apollo.data.operations.map(({ id, body }) => [id, body]);
  const relay = relayManifest.safeParse(json);
  if (relay.success) return Object.entries(relay.data);
  throw new StartupError(
    `${file} of GATEWAY_PERSISTED_OPERATIONS is neither a manifest of Apollo ("format": "apollo-persisted-query-manifest", version 1) nor of Relay ({ "id": "text" }).`,
  );
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
