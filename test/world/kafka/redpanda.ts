/** Redpanda in a container, where there is a Docker engine and no Maven: the image of docker-compose.yml. */
import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { freePort } from '../free-port.js';

const run = promisify(execFile);
const compose = new URL('../../../docker-compose.yml', import.meta.url);

/** Whether a Docker engine answers; the command alone is not enough. */
export function hasDockerEngine(): boolean {
  return spawnSync('docker', ['info'], { stdio: 'ignore', timeout: 10_000 }).status === 0;
}

/** Starts a broker, which may still be starting when this resolves. */
export async function startRedpanda(): Promise<{ readonly address: string } & AsyncDisposable> {
  const image = /image: (\S*redpandadata\/redpanda:\S+)/.exec(readFileSync(compose, 'utf8'))?.[1];
  if (image === undefined) throw new Error('docker-compose.yml names no image of Redpanda.');
  const port = await freePort();
  const { stdout } = await run('docker', [
    ...['run', '--detach', '--rm', '--publish', `127.0.0.1:${port}:${port}`, image],
    ...['redpanda', 'start', '--mode=dev-container', '--smp=1', '--memory=1G', '--default-log-level=warn'],
    `--kafka-addr=0.0.0.0:${port}`,
    `--advertise-kafka-addr=127.0.0.1:${port}`,
    '--set=redpanda.auto_create_topics_enabled=false',
  ]);
  const container = stdout.trim();
  return {
    address: `127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      await run('docker', ['rm', '--force', container]);
    },
  };
}
