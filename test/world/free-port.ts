/**
 * Ports for programs that can't take port 0. A port that the system gives out for 0 may be the local end of anybody's
 * connection a moment later, so these are from below the range that systems take such ports from (Linux from 32768, others
 * from 49152), each worker of the test runner has a part of that range of its own, and none is given twice.
 */
import { createServer } from 'node:net';

const [lowest, behind] = [10_240, 32_768];
const parts = 8;
const partSize = Math.floor((behind - lowest) / parts);
const first = lowest + (Number(process.env['VITEST_POOL_ID'] ?? 0) % parts) * partSize;
// Two runs of the tests on one machine rarely begin at the same place.
let next = Math.floor(Math.random() * partSize);

/** A port of 127.0.0.1 on which nothing listens. @throws when every port of this worker is taken. */
export async function freePort(): Promise<number> {
  for (let tried = 0; tried < partSize; tried += 1) {
    const port = first + next;
    next = (next + 1) % partSize;
    if (await isFree(port)) return port;
  }
  throw new Error(`No port from ${first} to ${first + partSize - 1} is free.`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
