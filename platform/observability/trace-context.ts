/**
 * W3C Trace Context across everything that fleetgraph crosses: HTTP, CloudEvents, Kafka headers, MQTT user properties.
 * The carrier is the string `traceparent` (https://www.w3.org/TR/trace-context/).
 */
import {
  context,
  propagation,
  ProxyTracerProvider,
  trace,
  SpanKind,
  SpanStatusCode,
  type Context,
  type Span,
  type Attributes,
} from '@opentelemetry/api';

/** Whether anybody listens to spans: without a tracer, making them is time for nothing. */
export function hasTracer(): boolean {
  const provider = trace.getTracerProvider();
  return !(provider instanceof ProxyTracerProvider) || provider.getDelegateTracer('fleetgraph') !== undefined;
}

/** `traceparent` of the active span, or undefined outside of any. */
export function currentTraceparent(): string | undefined {
  if (trace.getActiveSpan() === undefined) return undefined;
  const carrier: { traceparent?: string } = {};
  propagation.inject(context.active(), carrier);
  return carrier.traceparent;
}

/** The context that a `traceparent` stands for. An absent or malformed one gives the active context. */
export function contextFrom(traceparent: string | undefined): Context {
  return traceparent === undefined ? context.active() : propagation.extract(context.active(), { traceparent });
}

/** Runs `work` in a span that continues `traceparent`; the span ends, with the error if there was one, when it settles. */
export async function inSpan<T>(
  name: string,
  options: { traceparent?: string | undefined; kind?: SpanKind; attributes?: Attributes },
  work: (span: Span) => Promise<T>,
): Promise<T> {
  const tracer = trace.getTracer('fleetgraph');
  return tracer.startActiveSpan(
    name,
    { kind: options.kind ?? SpanKind.INTERNAL, ...(options.attributes ? { attributes: options.attributes } : {}) },
    contextFrom(options.traceparent),
    async (span) => {
      try {
        return await work(span);
      } catch (error) {
        span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.message : String(error) });
        throw error;
      } finally {
        span.end();
      }
    },
  );
}

/** The same, if there is a tracer; else only the work, without the cost of a context of its own. */
export function inRecordedSpan<T>(
  name: string,
  options: Parameters<typeof inSpan>[1],
  work: () => Promise<T>,
): Promise<T> {
  return hasTracer() ? inSpan(name, options, work) : work();
}

/** Fields for a log line. */
export function traceContextOf(): { traceId?: string } {
  const span = trace.getActiveSpan();
  return span === undefined ? {} : { traceId: span.spanContext().traceId };
}
