/** The subscription that most tests of streams follow a device by. */
export interface StateUpdate {
  readonly cursor: string;
  readonly snapshot: boolean;
  readonly device: { readonly id: string };
  readonly state: {
    readonly version: number;
    readonly metrics: readonly { name: string; value: unknown }[];
  } | null;
  readonly presence: { readonly online: boolean };
}
export interface DeviceStateData {
  readonly deviceState: StateUpdate;
}
export const stateFields = 'cursor snapshot device { id } state { version metrics { name value } } presence { online }';
export const deviceState = `subscription ($id: ID!, $since: String) { deviceState(deviceId: $id, since: $since) { ${stateFields} } }`;
