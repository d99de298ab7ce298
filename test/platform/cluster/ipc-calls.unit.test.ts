/** Calls over a channel between two processes. */
import { expect, test } from 'vitest';
import { createIpcCalls, type CallHandlers, type IpcCalls } from '../../../platform/cluster/ipc-calls.js';
import { StartupError } from '../../../platform/errors.js';

/** Two ends of one channel; what they say goes through structured data, as between processes. */
function pair(handlers: CallHandlers): { here: IpcCalls; there: IpcCalls } {
  const here: IpcCalls = createIpcCalls((message) => there.receive(structuredClone(message)), {});
  const there: IpcCalls = createIpcCalls((message) => here.receive(structuredClone(message)), handlers);
  return { here, there };
}

test('a call has its own answer, in whatever order they come', async () => {
  const release: (() => void)[] = [];
  const { here } = pair({
    echo: (argument) => new Promise((resolve) => release.push(() => resolve(argument))),
  });
  const answers = [1, 2, 3].map((argument) => here.call('echo', argument));
  for (const one of release.reverse()) one();
  expect(await Promise.all(answers)).toEqual([1, 2, 3]);
});

test('what is thrown there is thrown here, and a StartupError stays one', async () => {
  const { here } = pair({
    fail: () => Promise.reject(new Error('no')),
    misconfigured: () => Promise.reject(new StartupError('Set PORT.')),
  });
  await expect(here.call('fail')).rejects.toThrow(new Error('no'));
  await expect(here.call('misconfigured')).rejects.toBeInstanceOf(StartupError);
  await expect(here.call('unknown')).rejects.toThrow('There is no call "unknown".');
});

test('nobody waits for ever: not for one that does not answer, nor for one that is gone', async () => {
  const { here } = pair({ hang: () => new Promise(() => undefined) });
  await expect(here.call('hang', undefined, 5)).rejects.toThrow('no answer within 5 ms');
  const waiting = here.call('hang');
  here.close(new Error('worker 1 ended (SIGKILL)'));
  await expect(waiting).rejects.toThrow('worker 1 ended (SIGKILL)');
  await expect(here.call('hang')).rejects.toThrow('worker 1 ended (SIGKILL)');
});

test('messages of others are left alone', () => {
  const { here } = pair({});
  for (const message of [undefined, 'text', { type: 'prom-client:getMetricsReq' }, { fleetgraph: 'answer', id: 99 }])
    expect(() => here.receive(message)).not.toThrow();
});
