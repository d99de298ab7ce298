import { expect, test } from 'vitest';
import { createHost } from '../../platform/lifecycle/host.js';
import type { Role } from '../../platform/lifecycle/role.js';
import { silentLog } from '../world/database.js';

function recordingRole(
  name: string,
  journal: string[],
  faults: Partial<Record<'start' | 'stop' | 'ready', Error>> = {},
): Role {
  const act = (what: 'start' | 'stop' | 'ready') => async () => {
    journal.push(`${what} ${name}`);
    if (faults[what]) throw faults[what];
  };
  return { name, start: act('start'), stop: act('stop'), ready: act('ready') };
}

test('starts in order and stops in reverse', async () => {
  const journal: string[] = [];
  const host = createHost({
    roles: [recordingRole('a', journal), recordingRole('b', journal)],
    log: silentLog,
    shutdownTimeoutMs: 1_000,
  });
  await host.start();
  await host.stop();
  await host.stop();
  expect(journal).toEqual(['start a', 'start b', 'stop b', 'stop a']);
});

test('a role that fails to start takes down those before it and itself, and its error is the one thrown', async () => {
  const journal: string[] = [];
  const roles = [
    recordingRole('a', journal),
    recordingRole('b', journal, { start: new Error('no port') }),
    recordingRole('c', journal),
  ];
  const host = createHost({ roles, log: silentLog, shutdownTimeoutMs: 1_000 });
  await expect(host.start()).rejects.toThrow('no port');
  expect(journal).toEqual(['start a', 'start b', 'stop b', 'stop a']);
});

test('a role that fails or hangs while stopping does not keep the others from stopping', async () => {
  const journal: string[] = [];
  const hanging: Role = { ...recordingRole('hanging', journal), stop: () => new Promise(() => undefined) };
  const roles = [recordingRole('a', journal), hanging, recordingRole('c', journal, { stop: new Error('broken') })];
  const host = createHost({ roles, log: silentLog, shutdownTimeoutMs: 100 });
  await host.start();
  await host.stop();
  expect(journal).toContain('stop a');
});

test('names the role that is not ready, and is not ready while it stops', async () => {
  const journal: string[] = [];
  const roles = [recordingRole('a', journal), recordingRole('b', journal, { ready: new Error('database away') })];
  const host = createHost({ roles, log: silentLog, shutdownTimeoutMs: 1_000 });
  await host.start();
  await expect(host.ready()).rejects.toThrow('b: database away');
  await host.stop();
  await expect(host.ready()).rejects.toThrow('shutting down');
});

test('a role that has all it needs is not ready before its start has come to its end', async () => {
  let listen: () => void = () => undefined;
  const role: Role = {
    ...recordingRole('a', []),
    start: () => new Promise((resolve) => (listen = resolve)),
  };
  const host = createHost({ roles: [role], log: silentLog, shutdownTimeoutMs: 1_000 });
  const started = host.start();
  await expect(host.ready()).rejects.toThrow('a: starting');
  listen();
  await started;
  await host.ready();
  await host.stop();
});
