/**
 * Counters and histograms for code that runs for each request. prom-client's own make a text of their labels each time, to look
 * them up; here the caller keeps what it counts with, and counting is an addition. The registry reads them as its own.
 */
import type { Metric, MetricValueWithName, Registry } from 'prom-client';

export interface RequestMetricOptions<Label extends string> {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly Label[];
  readonly registry: Registry;
}

type Labels<Label extends string> = Readonly<Record<Label, string>>;

/** What is counted with one set of labels each: to be kept by the caller. */
export interface Labelled<Label extends string, Child> {
  labels(labels: Labels<Label>): Child;
}

export interface Count {
  inc(): void;
}

export interface Observer {
  observe(value: number): void;
}

export function createRequestCounter<Label extends string>(
  options: RequestMetricOptions<Label>,
): Labelled<Label, Count> {
  return register(options, 'counter', (labels) => new CountOf(labels));
}

/** @param options.buckets upper bounds, ascending */
export function createRequestHistogram<Label extends string>(
  options: RequestMetricOptions<Label> & { readonly buckets: readonly number[] },
): Labelled<Label, Observer> {
  return register(options, 'histogram', (labels) => new Observations(options.name, labels, options.buckets));
}

/** One set of labels. */
interface Series {
  values(): readonly MetricValueWithName<string>[];
}

class CountOf implements Series, Count {
  readonly #labels: Labels<string>;
  #value = 0;

  constructor(labels: Labels<string>) {
    this.#labels = labels;
  }

  inc(): void {
    this.#value += 1;
  }

  values() {
    // Without a name of its own it has that of the metric.
    return [{ labels: this.#labels, value: this.#value } as MetricValueWithName<string>];
  }
}

class Observations implements Series, Observer {
  readonly #name: string;
  readonly #labels: Labels<string>;
  readonly #bounds: readonly number[];
  /** Of each bucket alone; the last one is beyond all bounds. */
  readonly #counts: number[];
  #sum = 0;

  constructor(name: string, labels: Labels<string>, bounds: readonly number[]) {
    this.#name = name;
    this.#labels = labels;
    this.#bounds = bounds;
    this.#counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] as number)) bucket += 1;
    (this.#counts[bucket] as number) += 1;
    this.#sum += value;
  }

  /** Buckets are cumulative (https://prometheus.io/docs/instrumenting/exposition_formats/#histograms-and-summaries). */
  values() {
    const [name, labels] = [this.#name, this.#labels];
    let count = 0;
    const buckets = this.#counts.map((inBucket, index) => ({
      metricName: `${name}_bucket`,
      labels: { le: this.#bounds[index] ?? '+Inf', ...labels },
      value: (count += inBucket),
    }));
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels, value: this.#sum },
      { metricName: `${name}_count`, labels, value: count },
    ];
  }
}

function register<Label extends string, Child extends Series>(
  { name, help, labelNames, registry }: RequestMetricOptions<Label>,
  type: 'counter' | 'histogram',
  make: (labels: Labels<Label>) => Child,
): Labelled<Label, Child> {
  const children = new Map<string, Child>();
  const metric = {
    name,
    help,
    type,
    get: async () => ({
      name,
      help,
      type,
      aggregator: 'sum',
      values: [...children.values()].flatMap((child) => child.values()),
    }),
    reset: () => children.clear(),
  };
  // What the registry uses of a metric; its type wants the classes of prom-client.
  registry.registerMetric(metric as unknown as Metric);
  return {
    labels(labels) {
      const key = JSON.stringify(labelNames.map((label) => labels[label]));
      let child = children.get(key);
      if (!child) children.set(key, (child = make(labels)));
      return child;
    },
  };
}
