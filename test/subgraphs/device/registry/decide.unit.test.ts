import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FleetgraphError } from '../../../../platform/errors.js';
import {
  decide,
  eventOf,
  evolve,
  registered,
  streamOf,
  type Device,
  type DeviceCommand,
} from '../../../../subgraphs/device/registry/device.js';

const start = new Date('2026-01-01T00:00:00.000Z');
const later = (ms: number): Date => new Date(start.getTime() + ms);
const { device: fresh } = registered(
  { id: 'dev_1', tenant: 'acme', name: 'Boiler', typeId: 'generic', labels: { site: 'x' } },
  start,
);
const ended: Device = { ...fresh, status: 'DECOMMISSIONED', revision: 2 };

const small = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.constantFrom(1, 'x', null, true), { maxKeys: 3 });
const command: fc.Arbitrary<DeviceCommand> = fc.oneof(
  fc.record(
    {
      kind: fc.constant('update' as const),
      name: fc.constantFrom('A', 'B'),
      typeId: fc.constantFrom('t1', 't2'),
      labels: fc.dictionary(fc.constantFrom('k', 'l'), fc.constantFrom('1', '2')),
      expectedRevision: fc.integer({ min: 0, max: 6 }),
    },
    { requiredKeys: ['kind'] },
  ),
  fc.record(
    {
      kind: fc.constant('setDesired' as const),
      desired: small,
      merge: fc.boolean(),
      expectedVersion: fc.integer({ min: 0, max: 4 }),
    },
    { requiredKeys: ['kind', 'desired', 'merge'] },
  ),
  fc.record({
    kind: fc.constant('report' as const),
    reported: small,
    at: fc.integer({ min: 0, max: 20 }).map(later),
  }),
  fc.constant({ kind: 'rotateCredentials' as const }),
  { weight: 1, arbitrary: fc.constant({ kind: 'decommission' as const }) },
);

/** The device after the command, or as it was where the command was refused. */
function step(device: Device, asked: DeviceCommand, at: Date): { readonly after: Device; readonly refused: boolean } {
  try {
    const facts = decide(device, asked);
    const happened = asked.kind === 'report' ? asked.at : at;
    return { after: facts.reduce((state, fact) => evolve(state, fact, happened), device), refused: false };
  } catch (error) {
    expect(error).toBeInstanceOf(FleetgraphError);
    expect((error as FleetgraphError).code).toBe('CONFLICT');
    return { after: device, refused: true };
  }
}

describe('whatever is asked of a device, in any order', () => {
  it('its revision counts what happened, its versions and times never go back, and what is over stays over', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 20 }), (commands) => {
        let device = fresh;
        commands.forEach((asked, n) => {
          const { after, refused } = step(device, asked, later(n));
          const facts = refused ? [] : decide(device, asked);
          expect(after.revision).toBe(device.revision + facts.length);
          expect(after.desiredVersion - device.desiredVersion).toBe(
            facts.filter(({ type }) => type.includes('desired-state')).length,
          );
          expect(after.updatedAt.getTime()).toBeGreaterThanOrEqual(device.updatedAt.getTime());
          expect(after.reportedAt?.getTime() ?? 0).toBeGreaterThanOrEqual(device.reportedAt?.getTime() ?? 0);
          if (device.status === 'DECOMMISSIONED') expect(after).toEqual(device);
          expect([after.id, after.tenant, after.createdAt]).toEqual([fresh.id, fresh.tenant, fresh.createdAt]);
          device = after;
        });
      }),
      { numRuns: 300 },
    );
  });

  it('its events alone give the same device again', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 20 }), (commands) => {
        const log: { readonly fact: ReturnType<typeof decide>[number]; readonly at: Date }[] = [];
        let device = fresh;
        commands.forEach((asked, n) => {
          const { after, refused } = step(device, asked, later(n));
          if (!refused)
            for (const fact of decide(device, asked))
              log.push({ fact, at: asked.kind === 'report' ? asked.at : later(n) });
          device = after;
        });
        expect(log.reduce((state, { fact, at }) => evolve(state, fact, at), fresh)).toEqual(device);
      }),
    );
  });

  it('a second decision on the same device is the same, and the device is left as it was', () => {
    fc.assert(
      fc.property(command, (asked) => {
        const before = JSON.stringify(fresh);
        expect(step(fresh, asked, later(1))).toEqual(step(fresh, asked, later(1)));
        expect(JSON.stringify(fresh)).toBe(before);
      }),
    );
  });
});

describe('a decision', () => {
  it('on an update takes what is given and keeps the rest', () => {
    const [fact] = decide(fresh, { kind: 'update', labels: {} });
    expect(fact).toEqual({
      type: 'io.fleetgraph.device.updated.v1',
      data: { deviceId: 'dev_1', name: 'Boiler', typeId: 'generic', labels: {} },
    });
  });

  it('names what was expected wrongly', () => {
    const conflict = (field: string) => expect.objectContaining({ code: 'CONFLICT', field }) as Error;
    expect(() => decide(fresh, { kind: 'update', expectedRevision: 2 })).toThrow(conflict('input.expectedRevision'));
    expect(() => decide(fresh, { kind: 'setDesired', desired: {}, merge: true, expectedVersion: 1 })).toThrow(
      conflict('input.expectedVersion'),
    );
  });

  it('on a decommissioned device refuses people, and lets pass what is nobody’s fault', () => {
    expect(decide(ended, { kind: 'decommission' })).toEqual([]);
    expect(decide(ended, { kind: 'report', reported: { a: 1 }, at: later(1) })).toEqual([]);
    const refused: readonly DeviceCommand[] = [
      { kind: 'update', name: 'x' },
      { kind: 'rotateCredentials' },
      { kind: 'setDesired', desired: {}, merge: true },
    ];
    for (const asked of refused) expect(() => decide(ended, asked)).toThrow(/is decommissioned/);
  });

  it('on a report of the same instant as the last is none', () => {
    const device = { ...fresh, reportedAt: later(5) };
    expect(decide(device, { kind: 'report', reported: { a: 1 }, at: later(5) })).toEqual([]);
    expect(decide(device, { kind: 'report', reported: { a: 1 }, at: later(6) })).toHaveLength(1);
  });

  it('on a state refuses what is more than can be kept, also when it only grows to that', () => {
    const large = { a: 'x'.repeat(40_000) };
    const grown: Device = { ...fresh, desired: large, reported: large };
    const half = { b: 'x'.repeat(40_000) };
    const tooMuch = expect.objectContaining({ code: 'BAD_USER_INPUT', field: 'input.desired' }) as Error;
    expect(() => decide(grown, { kind: 'setDesired', desired: half, merge: true })).toThrow(tooMuch);
    expect(decide(grown, { kind: 'setDesired', desired: half, merge: false })).toHaveLength(1);
    expect(decide(grown, { kind: 'setDesired', desired: { ...half, a: null }, merge: true })).toHaveLength(1);
    expect(() => decide(grown, { kind: 'report', reported: half, at: later(1) })).toThrow(/more than can be kept/);
  });
});

describe('the event of a fact', () => {
  it('is about the device, in its tenant, with who and what caused it', () => {
    const [fact] = decide(fresh, { kind: 'decommission' });
    if (!fact) throw new Error('nothing happened');
    const cause = { actor: 'ann', traceparent: undefined, correlationid: 'c', causationid: undefined };
    expect(eventOf(fresh, fact, cause, later(7))).toMatchObject({
      source: '/device',
      type: fact.type,
      subject: 'dev_1',
      tenant: 'acme',
      data: { deviceId: 'dev_1' },
      actor: 'ann',
      correlationid: 'c',
      time: later(7).toISOString(),
    });
    expect(streamOf('dev_1')).toBe('device-dev_1');
  });
});
