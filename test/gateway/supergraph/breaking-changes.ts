import { CriticalityLevel, diff } from '@graphql-inspector/core';
import { buildSchema } from 'graphql';

/** What of a new API would break clients of the old one, a sentence each. Both are SDL. */
export async function breakingChanges(publishedSdl: string, newSdl: string): Promise<string[]> {
  const changes = await diff(buildSchema(publishedSdl), buildSchema(newSdl));
  return changes
    .filter(({ criticality }) => criticality.level === CriticalityLevel.Breaking)
    .map(({ message }) => message);
}
