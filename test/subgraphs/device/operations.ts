/** The operations that the tests of this folder send. */
import type { As, DeviceWorld, Variables } from './device-world.js';

export interface DeviceView {
  readonly id: string;
  readonly name: string;
  readonly labels: readonly { readonly key: string; readonly value: string }[];
  readonly type: { readonly id: string };
  readonly status: string;
  readonly revision: number;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly desiredState: { readonly values: unknown; readonly version: number };
  readonly reportedState: { readonly values: unknown; readonly version: number; readonly at: string | null };
}

export interface CredentialsView {
  readonly clientId: string;
  readonly username: string;
  readonly password: string;
}

export interface Changed {
  readonly device: DeviceView;
  readonly consistencyToken: string;
}

export interface Registered extends Changed {
  readonly credentials: CredentialsView | null;
}

export interface RegisteredMany {
  readonly results: readonly {
    readonly index: number;
    readonly device: DeviceView | null;
    readonly credentials: CredentialsView | null;
    readonly error: { readonly code: string; readonly message: string; readonly field: string | null } | null;
  }[];
  readonly registered: number;
  readonly consistencyToken: string | null;
}

export interface TypeView {
  readonly id: string;
  readonly name: string;
  readonly description: string | null;
  readonly metrics: readonly {
    readonly name: string;
    readonly kind: string;
    readonly unit: string | null;
    readonly description: string | null;
  }[];
  readonly commands: readonly {
    readonly name: string;
    readonly description: string | null;
    readonly parametersSchema: unknown;
  }[];
  readonly decoder: string;
  readonly revision: number;
  readonly createdAt: string;
  readonly updatedAt: string;
}

export const deviceFields = `id name labels { key value } type { id } status revision createdAt updatedAt
  desiredState { values version } reportedState { values version at }`;
export const typeFields =
  'id name description metrics { name kind unit description } commands { name description parametersSchema } decoder revision createdAt updatedAt';
const credentials = 'credentials { clientId username password }';

/** The whole text of each mutation, by its name: `$input` is its only variable. */
export const mutations = {
  registerDevice: `mutation M($input: RegisterDeviceInput!) {
    registerDevice(input: $input) { device { ${deviceFields} } ${credentials} consistencyToken } }`,
  registerDevices: `mutation M($input: RegisterDevicesInput!) { registerDevices(input: $input) {
    results { index device { ${deviceFields} } ${credentials} error { code message field } } registered consistencyToken } }`,
  updateDevice: `mutation M($input: UpdateDeviceInput!) {
    updateDevice(input: $input) { device { ${deviceFields} } consistencyToken } }`,
  decommissionDevice: `mutation M($input: DecommissionDeviceInput!) {
    decommissionDevice(input: $input) { device { ${deviceFields} } consistencyToken } }`,
  rotateDeviceCredentials: `mutation M($input: RotateDeviceCredentialsInput!) {
    rotateDeviceCredentials(input: $input) { device { ${deviceFields} } ${credentials} consistencyToken } }`,
  setDesiredState: `mutation M($input: SetDesiredStateInput!) {
    setDesiredState(input: $input) { device { ${deviceFields} } consistencyToken } }`,
  defineDeviceType: `mutation M($input: DefineDeviceTypeInput!) {
    defineDeviceType(input: $input) { deviceType { ${typeFields} } consistencyToken } }`,
} as const;

/** What each mutation returns. */
export interface Replies {
  readonly registerDevice: Registered;
  readonly registerDevices: RegisteredMany;
  readonly updateDevice: Changed;
  readonly decommissionDevice: Changed;
  readonly rotateDeviceCredentials: Registered;
  readonly setDesiredState: Changed;
  readonly defineDeviceType: { readonly deviceType: TypeView; readonly consistencyToken: string };
}

/** Runs a mutation that must succeed. */
export async function mutate<Name extends keyof Replies>(
  world: DeviceWorld,
  name: Name,
  input: Variables,
  as?: As,
): Promise<Replies[Name]> {
  return (await world.data<Pick<Replies, Name>>(mutations[name], { input }, as))[name];
}

/** Registers a device that must be accepted, of the type `generic` unless it is said. */
export async function register(world: DeviceWorld, input: Variables = {}, as?: As): Promise<Registered> {
  return mutate(world, 'registerDevice', { name: 'Boiler', typeId: 'generic', ...input }, as);
}

/** Credentials that must be there. */
export function credentialsIn(reply: Registered): CredentialsView {
  if (reply.credentials === null) throw new Error('The reply has no credentials.');
  return reply.credentials;
}

export const deviceQuery = `query Q($id: ID!) { device(id: $id) { ${deviceFields} } }`;
export const typeQuery = `query Q($id: ID!) { deviceType(id: $id) { ${typeFields} } }`;

/** The device as the graph shows it now. */
export async function readDevice(world: DeviceWorld, id: string, as?: As): Promise<DeviceView | null> {
  return (await world.data<{ device: DeviceView | null }>(deviceQuery, { id }, as)).device;
}
