/** Subscriptions of a test's query subgraph: a test says what each stream gives, and sees who listens and since when. */
import type { RequestContext } from '../../platform/graphql/context.js';
import type { StreamRequest } from '../../platform/graphql/stream-contract.js';
import type { Resolvers } from '../../platform/graphql/subgraph.js';

export interface OpenStream {
  readonly field: string;
  readonly args: Readonly<Record<string, unknown>>;
  readonly context: RequestContext;
  /** Gives a payload of the field; its `place` says where in the stream it is, and what it is the state of. */
  push(payload: object): void;
  /** Ends the stream; with an error if there is one. */
  end(error?: Error): void;
}

export interface LiveSource {
  /** The streams that are open now, oldest first. */
  open: OpenStream[];
  /** Every stream that ever was opened, oldest first. */
  readonly opened: OpenStream[];
  /** What a client begins with, if set; else it begins with what is pushed. */
  snapshot: ((args: Readonly<Record<string, unknown>>) => object) | undefined;
  /** Thrown instead of opening a stream, if set. */
  refusal: Error | undefined;
  /** Gives a payload to every open stream. */
  push(payload: object): void;
  readonly resolvers: Resolvers[string];
}

export function createLiveSource(): LiveSource {
  const fields = ['deviceState', 'deviceStates', 'telemetry', 'command', 'events', 'fleet'];
  const source: LiveSource = {
    open: [],
    opened: [],
    refusal: undefined,
    snapshot: undefined,
    push: (payload) => {
      for (const stream of source.open) stream.push(payload);
    },
    resolvers: Object.fromEntries(
      fields.map((field) => [
        field,
        {
          resolve: (payload: unknown) => payload,
          subscribe: (_root: unknown, args: Record<string, unknown>, context: RequestContext) =>
            openStream(source, field, args, context),
        },
      ]),
    ),
  };
  return source;
}

/** Nobody has missed anything: there is no past here. */
async function* pageOf(snapshot: object | undefined): AsyncGenerator<object, void, undefined> {
  if (snapshot) yield { ...snapshot, place: { cursor: 'beginning' } };
  yield { mark: { position: '0', cursor: 'beginning' } };
}

function openStream(
  source: LiveSource,
  field: string,
  args: Readonly<Record<string, unknown>>,
  context: RequestContext,
): AsyncIterableIterator<object> {
  if (source.refusal) throw source.refusal;
  const { phase } = (context as { stream?: StreamRequest }).stream ?? {};
  if (phase === 'catchUp') return pageOf(source.snapshot?.(args));
  const waiting: object[] = phase === 'live' ? [{ mark: { position: '0', cursor: 'beginning' } }] : [];
  let ended: { readonly error: Error | undefined } | undefined;
  let wake: () => void = () => undefined;
  const stream: OpenStream = {
    field,
    args,
    context,
    push(payload) {
      const { cursor } = payload as { cursor?: string };
      waiting.push({ ...(cursor === undefined ? {} : { place: { cursor } }), ...payload });
      wake();
    },
    end(error) {
      ended ??= { error };
      source.open = source.open.filter((other) => other !== stream);
      wake();
    },
  };
  source.open.push(stream);
  source.opened.push(stream);
  return {
    async next() {
      for (;;) {
        const value = waiting.shift();
        if (value) return { value, done: false };
        if (ended?.error) throw ended.error;
        if (ended) return { value: undefined, done: true };
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
    async return() {
      stream.end();
      return { value: undefined, done: true };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
