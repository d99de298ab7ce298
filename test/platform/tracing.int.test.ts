/** Spans on their way to a collector: a real HTTP receiver of OTLP, and processes of ours that are told of it. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startScript } from '../world/child-process.js';
import { eventually, within } from '../world/eventually.js';

interface Span {
  readonly name: string;
  readonly traceId: string;
  readonly service: string | undefined;
  readonly instance: string | undefined;
}

let collector: Server;
let url: string;
const paths = new Set<string>();
const spans: Span[] = [];
beforeAll(async () => {
  collector = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      paths.add(`${request.method ?? ''} ${request.url ?? ''}`);
      spans.push(...spansIn(body));
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
});
afterAll(() => {
  collector.closeAllConnections();
  collector.close();
});

/** Of a request as the OTLP specification has it, in JSON. */
function spansIn(body: string): Span[] {
  const { resourceSpans } = JSON.parse(body) as {
    resourceSpans: readonly {
      resource: { attributes: readonly { key: string; value: { stringValue?: string } }[] };
      scopeSpans: readonly { spans: readonly { name: string; traceId: string }[] }[];
    }[];
  };
  return resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const named = (name: string) => resource.attributes.find(({ key }) => key === name)?.value.stringValue;
    return scopeSpans.flatMap((scope) =>
      scope.spans.map(({ name, traceId }) => ({
        name,
        traceId,
        service: named('service.name'),
        instance: named('service.instance.id'),
      })),
    );
  });
}

const script = new URL('tracing-process.ts', import.meta.url);

test('spans are sent with the name of the service and the process, the last ones when it stops', async () => {
  const child = await startScript(script, [url]);
  await child.stop();
  await eventually(() => expect(spans.map(({ name }) => name)).toContain('the last'));
  expect(paths).toEqual(new Set(['POST /v1/traces']));
  expect(spans[0]).toMatchObject({
    name: 'the last',
    service: 'fleet',
    instance: 'one',
    traceId: '0af7651916cd43dd8448eb211c80319c',
  });
});

test('a collector that is away holds up nothing, neither a span nor a stop', async () => {
  const child = await startScript(script, ['http://127.0.0.1:9']);
  await within(child.stop(), 10_000, 'the stop');
  expect(child.output()).toContain('stopped in good order');
});
