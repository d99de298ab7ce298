/** Each fetch is a span in the trace of its request, over HTTP, and the subgraph is sent that span's. */
import { context, propagation, trace } from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../world/eventually.js';
import { startScriptedGateway, type ScriptedGateway } from './scripted-subgraphs.js';

const exporter = new InMemorySpanExporter();
let gateway: ScriptedGateway;

beforeAll(async () => {
  new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }).register({
    propagator: new W3CTraceContextPropagator(),
  });
  gateway = await startScriptedGateway({
    catalog: `type Query { product: Product } type Product @key(fields: "id") { id: ID! name: String }`,
    stock: `type Product @key(fields: "id") { id: ID! count: Int }`,
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  for (const api of [context, propagation, trace]) api.disable();
});

test('fetches are children of the request, in its trace, with the error of one that failed', async () => {
  const sent = new Map<string, unknown>();
  const product = { __typename: 'Product', id: '1', name: 'Chair' };
  gateway.scripts.set('catalog', (_sent, _response, { headers }) => {
    sent.set('catalog', headers['traceparent']);
    return { data: { product } };
  });
  gateway.scripts.set('stock', (_sent, _response, { headers, socket }) => {
    sent.set('stock', headers['traceparent']);
    return void socket.destroy();
  });
  const traceId = '0af7651916cd43dd8448eb211c80319c';
  await gateway.ask('{ product { name count } }', {
    headers: { 'content-type': 'application/json', traceparent: `00-${traceId}-b7ad6b7169203331-01` },
  });
  const spans = await eventually(() => {
    const found = exporter.getFinishedSpans();
    expect(found).toHaveLength(3);
    return found;
  });
  const [request] = spans.filter(({ name }) => name === 'graphql request');
  for (const subgraph of ['catalog', 'stock']) {
    const [span] = spans.filter(({ name }) => name === `fetch from ${subgraph}`);
    expect(span?.spanContext().traceId).toBe(traceId);
    expect(span?.parentSpanContext?.spanId).toBe(request?.spanContext().spanId);
    expect(sent.get(subgraph)).toBe(`00-${traceId}-${span?.spanContext().spanId ?? ''}-01`);
    expect(span?.attributes).toMatchObject({ 'subgraph.name': subgraph, 'graphql.operation.type': 'query' });
    expect(span?.status.code).toBe(subgraph === 'stock' ? 2 : 0);
  }
});
