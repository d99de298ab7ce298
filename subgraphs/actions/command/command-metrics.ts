import { Counter, Gauge, Histogram } from 'prom-client';
import type { Registry } from '../../../platform/observability/metrics.js';
import { isFinal, type Command } from './command.js';
import { statusBrought, type CommandFact } from './command-fact.js';

export interface CommandMetrics {
  /** Counts what has happened to a command, after the commit. `command` is how it is now. */
  moved(command: Command, facts: readonly Pick<CommandFact, 'type' | 'data'>[]): void;
  /** Counts signals about a command of another device, another tenant, or nobody. */
  foreignSignals(count: number): void;
  /** How long the command is overdue that should have expired first; 0 if none is. */
  expiryLag(seconds: number): void;
}

/** The metrics of commands: `fleetgraph_commands_total`, `fleetgraph_command_seconds` and what goes wrong around them. */
export function createCommandMetrics(registry: Registry): CommandMetrics {
  const registers = [registry];
  const total = new Counter({
    name: 'fleetgraph_commands_total',
    help: 'Commands that came to this status.',
    labelNames: ['status'],
    registers,
  });
  const seconds = new Histogram({
    name: 'fleetgraph_command_seconds',
    help: 'Time from the acceptance of a command to its final status.',
    labelNames: ['status'],
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3_600, 86_400],
    registers,
  });
  const retries = new Counter({
    name: 'fleetgraph_command_retries_total',
    help: 'Attempts at commands after the first of each.',
    registers,
  });
  const foreign = new Counter({
    name: 'fleetgraph_command_foreign_signals_total',
    help: 'Signals dropped because they were about a command of another device, another tenant, or nobody.',
    registers,
  });
  const lag = new Gauge({
    name: 'fleetgraph_command_expiry_lag_seconds',
    help: 'How long the command is overdue that should have expired first.',
    registers,
  });
  return {
    moved(command, facts) {
      for (const fact of facts) {
        const status = statusBrought(fact);
        if (status !== undefined) total.inc({ status });
        if (fact.type === 'io.fleetgraph.command.retried.v1') retries.inc();
      }
      if (isFinal(command.status) && command.completedAt !== null) {
        const took = (command.completedAt.getTime() - command.createdAt.getTime()) / 1_000;
        seconds.observe({ status: command.status }, Math.max(0, took));
      }
    },
    foreignSignals: (count) => foreign.inc(count),
    expiryLag: (value) => lag.set(value),
  };
}
