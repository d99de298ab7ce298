/** A command, and what happens to it, as its tests have it. */
import type { CommandFact } from '../../../../subgraphs/actions/command/command-fact.js';
import type { Command } from '../../../../subgraphs/actions/command/command.js';
import { decide, evolve, hold, type CommandInput } from '../../../../subgraphs/actions/command/life-cycle.js';

export const t0 = Date.parse('2026-11-23T08:00:00.000Z');
type Request = Extract<CommandInput, { kind: 'request' }>;

export const request: Request = {
  kind: 'request',
  atMs: t0,
  tenant: 'acme',
  commandId: 'c1',
  deviceId: 'd1',
  name: 'setpoint',
  parameters: { celsius: 21 },
  timeToLiveMs: 60_000,
};
export const succeeded: CommandInput = {
  kind: 'acknowledged',
  atMs: t0 + 30,
  answer: { status: 'SUCCEEDED', result: 7 },
};

/** The command and its facts after the inputs. */
export function live(inputs: readonly CommandInput[]): { command: Command; facts: readonly CommandFact[] } {
  let command: Command | undefined;
  const facts: CommandFact[] = [];
  for (const input of inputs) {
    const following = decide(command, input);
    for (const fact of following) {
      facts.push(fact);
      command = evolve(command, fact);
    }
    if (following.length === 0 && command !== undefined) command = hold(command, input);
  }
  if (command === undefined) throw new Error('nothing was requested');
  return { command, facts };
}

export const retry = { maxAttempts: 3, answerTimeoutMs: 5_000, backoffMs: 2_000 };
export const tried: Request = { ...request, retry };
