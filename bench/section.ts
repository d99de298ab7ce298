/** What a measurement gives to the report: a ratio, and the raw figures beside it. */
export interface Section {
  readonly title: string;
  /** What was done, in one or two sentences. */
  readonly method: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
  /** Text under the table, e.g. where the time goes. Markdown. */
  readonly notes?: string;
}

/** The q-quantile (0 to 1) of unsorted values; NaN of none. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

export function round(value: number, digits = 1): number {
  return Number(value.toFixed(digits));
}

/** `part` of `whole` in per cent, e.g. `63 %`. */
export function ratio(part: number, whole: number): string {
  return `${Math.round((part / whole) * 100)} %`;
}
