// Program: the three subgraphs with streams that a line on standard input pushes into: `{"count": n}` gives every open stream n
// payloads, one a turn of the event loop.
import { allScopes } from '../../platform/identity/identity.js';
import type { VerifyToken } from '../../platform/identity/verify-token.js';
import { createInterface } from 'node:readline';
import { startSubgraphs } from '../../test/gateway/subgraphs.js';

const verifyToken: VerifyToken = async () => ({
  ...{ tenant: 'bench', subject: 'bench', scopes: new Set(allScopes) },
  expiresAtMs: Date.now() + 86_400_000,
});
const subgraphs = await startSubgraphs(verifyToken);
subgraphs.devices.set(
  'bench',
  Array.from({ length: 10_000 }, (_unused, index) => ({ id: `device-${index}`, name: `Device ${index}` })),
);
let version = 0;
const payloadFor = (args: Readonly<Record<string, unknown>>) => {
  const id = typeof args['deviceId'] === 'string' ? args['deviceId'] : 'device-0';
  const at = new Date();
  return {
    cursor: `cursor-of-about-the-usual-length-${version}`,
    snapshot: false,
    device: { id },
    state: {
      version,
      updatedAt: at,
      metrics: ['temperature', 'pressure'].map((name) => ({ name, value: 20 + version, at })),
    },
    presence: { online: true, lastSeen: at },
    place: { cursor: `c${version}`, position: String(version), key: id },
  };
};
subgraphs.live.snapshot = payloadFor;
createInterface({ input: process.stdin }).on('line', (line) => {
  void (async () => {
    const { count } = JSON.parse(line) as { count: number };
    for (let pushed = 0; pushed < count; pushed += 1) {
      version += 1;
      for (const stream of subgraphs.live.open) stream.push(payloadFor(stream.args));
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
});
process.once('SIGTERM', () => process.exit(0));
const { device, actions, query } = subgraphs;
console.log(JSON.stringify({ hello: { device: device.url(), actions: actions.url(), query: query.url() } }));
