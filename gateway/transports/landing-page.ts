/** Apollo Sandbox for a browser that comes by on a development machine: the page of Apollo's own plugin. */
import { ApolloServerPluginLandingPageLocalDefault } from '@apollo/server/plugin/landingPage/default';
import { mediaRangesOf } from './accept.js';

/** @returns a function that makes the page, with a nonce of its own each time. */
export async function createLandingPage(): Promise<() => Promise<string>> {
  const plugin = ApolloServerPluginLandingPageLocalDefault({ embed: true, footer: false });
  // Of the service that it is given when a server starts, the plugin reads nothing.
  const listener = await plugin.serverWillStart?.({} as Parameters<NonNullable<typeof plugin.serverWillStart>>[0]);
  const page = await listener?.renderLandingPage?.();
  if (page === undefined) throw new Error("The plugin of Apollo's landing page has none.");
  const { html } = page;
  return async () => (typeof html === 'string' ? html : html());
}

/** Whether a browser navigates here: it prefers a page to JSON and to a stream. */
export function prefersPage(accept: string | undefined): boolean {
  if (accept?.includes('text/html') !== true) return false;
  const [first] = mediaRangesOf(accept).filter(({ type }) => /^text\/(html|event-stream)$|json$/.test(type));
  return first?.type === 'text/html';
}
