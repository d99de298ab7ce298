/** The operations that the tests of this folder send. */
import type { ActionsInstance, As } from './actions-world.js';

export interface CommandView {
  readonly id: string;
  readonly deviceId: string;
  readonly name: string;
  readonly parameters: unknown;
  readonly status: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly expiresAt: string;
  readonly sentAt: string | null;
  readonly deliveredAt: string | null;
  readonly completedAt: string | null;
  readonly result: unknown;
  readonly error: string | null;
}

export const commandFields =
  'id deviceId name parameters status createdAt updatedAt expiresAt sentAt deliveredAt completedAt result error';

export const sendMutation = `mutation Send($input: SendCommandInput!) {
  sendCommand(input: $input) { command { ${commandFields} } consistencyToken } }`;
export const cancelMutation = `mutation Cancel($input: CancelCommandInput!) {
  cancelCommand(input: $input) { command { ${commandFields} } consistencyToken } }`;
export const commandQuery = `query Command($id: ID!) { command(id: $id) { ${commandFields} } }`;

export interface Sent {
  readonly command: CommandView;
  readonly consistencyToken: string;
}

/** Sends a command that must be accepted. */
export async function send(
  instance: ActionsInstance,
  input: { readonly deviceId: string } & Readonly<Record<string, unknown>>,
  as?: As,
): Promise<Sent> {
  const variables = { input: { name: 'setpoint', ...input } };
  return (await instance.data<{ sendCommand: Sent }>(sendMutation, variables, as)).sendCommand;
}

/** The command as the graph shows it now. */
export async function read(instance: ActionsInstance, id: string, as?: As): Promise<CommandView | null> {
  return (await instance.data<{ command: CommandView | null }>(commandQuery, { id }, as)).command;
}
