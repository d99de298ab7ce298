/** A receiver of webhooks as customers write them: an HTTP server that verifies signatures, or behaves badly when told to. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';

export interface Received {
  readonly path: string;
  /** `webhook-id`. */
  readonly id: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly atMs: number;
}

export type Behaviour =
  /** Answers with this status. */
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  /** Never answers. */
  | 'hang'
  /** Answers 200 with a body that does not end. */
  | 'flood';

export interface WebhookReceiver extends AsyncDisposable {
  /** What was received at the path, in order; everything without one. */
  received(path?: string): readonly Received[];
  /** URL of a path, as a webhook has it. */
  url(path: string): string;
  /** How the path behaves from now on; 204 unless told. */
  behave(path: string, behaviour: Behaviour): void;
  /** Bytes that floods could write before they were cut off. */
  flooded(): number;
}

/** Verifies as a receiver does. @returns the CloudEvent. @throws WebhookVerificationError. */
export function verify(received: Received, secret: string): Readonly<Record<string, unknown>> {
  return new Webhook(secret).verify(received.body, { ...received.headers }) as Record<string, unknown>;
}

export async function startWebhookReceiver(): Promise<WebhookReceiver> {
  const all: Received[] = [];
  const behaviours = new Map<string, Behaviour>();
  let floodedBytes = 0;

  const flood = (response: ServerResponse): void => {
    response.writeHead(200);
    const chunk = Buffer.alloc(65_536);
    const write = (): void => {
      while (!response.destroyed && response.write(chunk)) floodedBytes += chunk.length;
      floodedBytes += chunk.length;
    };
    response.on('drain', write).on('error', () => undefined);
    write();
  };

  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const path = request.url ?? '';
    const headers = request.headers as Record<string, string>;
    const body = Buffer.concat(chunks).toString();
    all.push({ path, id: headers['webhook-id'] ?? '', headers, body, atMs: Date.now() });
    const behaviour = behaviours.get(path) ?? { status: 204 };
    if (behaviour === 'hang') return;
    if (behaviour === 'flood') flood(response);
    else response.writeHead(behaviour.status, behaviour.headers).end();
  };

  const server = createServer((request, response) => {
    take(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    received: (path) => (path === undefined ? all : all.filter((one) => one.path === path)),
    url: (path) => `http://127.0.0.1:${port}${path}`,
    behave: (path, behaviour) => behaviours.set(path, behaviour),
    flooded: () => floodedBytes,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
