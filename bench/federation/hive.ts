/** Hive Gateway as a process to measure beside: installed on first use into a folder of its own. */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { pause } from '../../platform/lifecycle/wait.js';
import { installPeer } from '../install-peer.js';

/** How it is configured; `streaming` has it subscribe at the subgraph `query` over WebSocket. */
const configs = {
  javascript: `import { defineConfig } from '@graphql-hive/gateway';
export const gatewayConfig = defineConfig({ supergraph: process.env.SUPERGRAPH });
`,
  rust: `import { defineConfig } from '@graphql-hive/gateway';
import { unifiedGraphHandler } from '@graphql-hive/router-runtime';
export const gatewayConfig = defineConfig({ supergraph: process.env.SUPERGRAPH, unifiedGraphHandler });
`,
  streaming: `import { defineConfig } from '@graphql-hive/gateway';
const subscriptions = { kind: 'ws', location: '/graphql' };
export const gatewayConfig = defineConfig({
  supergraph: process.env.SUPERGRAPH,
  transportEntries: { query: { options: { subscriptions } } },
  propagateHeaders: { fromClientToSubgraphs: () => ({ authorization: 'Bearer any' }) },
});
`,
} as const;
const startDeadlineMs = 60_000;

export interface RunningHive extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
}

/** @param kind with its own query planner in JavaScript, with that of Hive Router in Rust, or for subscriptions. */
export async function startHive(supergraphFile: string, kind: keyof typeof configs): Promise<RunningHive> {
  const directory = installPeer('hive');
  // Among what is installed, so that it finds what it imports.
  const config = `${directory}/node_modules/${kind}.config.mjs`;
  writeFileSync(config, configs[kind]);
  const port = await freePort();
  const child = spawn(
    process.execPath,
    [
      'node_modules/.bin/hive-gateway',
      'supergraph',
      '-c',
      config,
      '-h',
      '127.0.0.1',
      '-p',
      String(port),
      '--fork',
      '1',
    ],
    {
      cwd: directory,
      env: { ...process.env, NODE_ENV: 'production', SUPERGRAPH: supergraphFile, LOG_LEVEL: 'error' },
      stdio: 'ignore',
    },
  );
  const url = `http://127.0.0.1:${port}/graphql`;
  const giveUpAt = performance.now() + startDeadlineMs;
  for (;;) {
    const answers = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"query":"{ __typename }"}',
    }).then(
      (response) => response.ok,
      () => false,
    );
    if (answers) break;
    if (child.exitCode !== null || performance.now() > giveUpAt) throw new Error('Hive Gateway does not come up.');
    await pause(200);
  }
  return {
    url,
    pid: child.pid ?? 0,
    async [Symbol.asyncDispose]() {
      const exited = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await exited;
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
