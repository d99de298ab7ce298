/** An alert, as the write model keeps it. */
import type { EventData, Reading } from '../../../backbone/events/catalogue.js';
import type { RuleAction, RuleSeverity } from '../../../backbone/rules/definition.js';

export type ClearCause = EventData<'io.fleetgraph.alert.cleared.v1'>['cause'];

export interface Comment {
  /** RFC 3339. */
  readonly at: string;
  readonly by: string;
  readonly text: string;
}

export interface Alert {
  readonly id: string;
  readonly tenant: string;
  readonly ruleId: string;
  readonly ruleName: string;
  readonly deviceId: string;
  readonly severity: RuleSeverity;
  readonly status: 'ACTIVE' | 'CLEARED';
  readonly firstAt: Date;
  readonly lastAt: Date;
  readonly count: number;
  readonly readings: readonly Reading[];
  readonly actions: readonly RuleAction[];
  readonly acknowledgedAt: Date | null;
  readonly acknowledgedBy: string | null;
  readonly clearedAt: Date | null;
  readonly clearedBy: string | null;
  readonly clearCause: ClearCause | null;
  readonly comments: readonly Comment[];
  /** When the rule recovered of late, epoch milliseconds; those of the alert before this one as well. */
  readonly recoveries: readonly number[];
  readonly heldUntil: Date | null;
  /** Revision of the stream `alert-{id}`. */
  readonly revision: number;
}

/** The alert's stream in the event store. */
export function streamOf(alertId: string): string {
  return `alert-${alertId}`;
}
