import type { Change } from '../../../../backbone/changes/change.js';

/** A change of a device, for tests of what only looks at its number and id. */
export function deviceChange(seq: number, id = 'device', tenant = 'acme'): Change<'device'> {
  return {
    tenant,
    seq: BigInt(seq),
    entity: 'device',
    id,
    version: BigInt(seq),
    at: '2026-11-23T00:00:00.000Z',
    payload: {
      kind: 'telemetry',
      device: null,
      state: {
        version: String(seq),
        updatedAt: '2026-11-23T00:00:00.000Z',
        metrics: {},
        online: false,
        lastSeen: null,
      },
      readings: [{ metric: 'n', at: seq, value: seq }],
    },
  };
}
