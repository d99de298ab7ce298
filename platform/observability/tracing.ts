/**
 * The tracer of the process (OpenTelemetry). Spans go to a collector over OTLP/HTTP if there is one; without, there are none, and
 * the trace context that comes with a request or an event is only carried on. How many are sampled, how they are batched and what else goes with them say the standard variables, which
 * the SDK reads (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
 */
import { context, propagation } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, NodeTracerProvider, type SpanProcessor } from '@opentelemetry/sdk-trace-node';
import { settledWithin } from '../lifecycle/wait.js';

export interface TracingOptions {
  /** Root of a collector's OTLP/HTTP endpoint, e.g. `http://127.0.0.1:4318`; spans are posted to `/v1/traces` below it. */
  readonly collectorUrl: string | undefined;
  readonly serviceName: string;
  /** Name of this process among its peers. */
  readonly instance: string;
}

export interface Tracing {
  /** Sends what is not sent yet, for so long at the most. Never rejects: a collector that is away holds nothing up. */
  stop(): Promise<void>;
}

/** How long the last spans may take to be sent, milliseconds. */
const stopTimeoutMs = 3_000;

/** Registers what carries the trace context, and the tracer if there is a collector for its spans. */
export async function startTracing(options?: TracingOptions): Promise<Tracing> {
  const propagator = new W3CTraceContextPropagator();
  if (options?.collectorUrl === undefined) {
    propagation.setGlobalPropagator(propagator);
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    return { stop: () => Promise.resolve() };
  }
  const provider = new NodeTracerProvider({
    spanProcessors: [await exporting(options.collectorUrl)],
    resource: resourceFromAttributes({
      'service.name': options.serviceName,
      'service.instance.id': options.instance,
    }),
  });
  provider.register({ propagator });
  return { stop: () => settledWithin(provider.shutdown(), stopTimeoutMs) };
}

/** Loaded where it is wanted: most processes of most installations have no collector. */
async function exporting(collectorUrl: string): Promise<SpanProcessor> {
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-http');
  return new BatchSpanProcessor(new OTLPTraceExporter({ url: `${collectorUrl.replace(/\/+$/, '')}/v1/traces` }));
}
