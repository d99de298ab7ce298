/**
 * Where the gateway has its supergraph from. A file is looked at again and again: by its name, so that it may be replaced, as
 * deployments do, or be behind a link that is set anew. What can't be read or is not a supergraph leaves the gateway with the one
 * that it has.
 */
import { unwatchFile, watchFile } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { messageOf, StartupError } from '../../platform/errors.js';

export interface SupergraphSource {
  /** The SDL as it is now. @throws StartupError if there is none. */
  read(): Promise<string>;
  /** Calls with what comes later, until the function that it returns is called. */
  follow(changed: (supergraphSdl: string) => void, polls?: SupergraphPolls): () => void;
}

/** Told of what was looked at, where there is nothing new. */
export interface SupergraphPolls {
  /** It is the supergraph that was reported last. */
  unchanged(): void;
  /** There is none. */
  failed(reason: string): void;
}

export interface SupergraphFollower {
  readonly changed: (supergraphSdl: string) => void;
  readonly polls: SupergraphPolls | undefined;
}

export interface SupergraphFile extends SupergraphSource {
  /** Looks at once. */
  reload(): void;
}

/** A supergraph that stays as it is. */
export function fixedSupergraph(read: () => Promise<string>): SupergraphSource {
  return { read, follow: () => () => undefined };
}

export function supergraphFile(path: string, options: { readonly intervalMs?: number } = {}): SupergraphFile {
  const { intervalMs = 500 } = options;
  const followers = new Set<SupergraphFollower>();
  let current: string | undefined;

  const look = async (): Promise<void> => {
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (error) {
      for (const { polls } of followers) polls?.failed(`The file can't be read: ${messageOf(error)}`);
      return;
    }
    const isNew = text !== current;
    current = text;
    for (const { changed, polls } of followers) {
      if (isNew) changed(text);
      else polls?.unchanged();
    }
  };
  const listen = (): void => void look();

  return {
    async read() {
      try {
        current = await readFile(path, 'utf8');
      } catch (error) {
        throw new StartupError(`The file of the supergraph can't be read (${messageOf(error)}). Check --supergraph.`, {
          cause: error,
        });
      }
      return current;
    },
    follow(changed, polls) {
      const follower = { changed, polls };
      followers.add(follower);
      // Asked for, and not told: what the system tells of is lost on network and container file systems, and behind links.
      if (followers.size === 1) watchFile(path, { interval: intervalMs, persistent: false }, listen);
      return () => {
        followers.delete(follower);
        if (followers.size === 0) unwatchFile(path, listen);
      };
    },
    reload: listen,
  };
}
