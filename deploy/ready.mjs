// The health check of the image: exit code 0 when every role of this container's process is ready, else 1 and the reason.
import { get } from 'node:http';

const address = `http://127.0.0.1:${process.env.OPERATIONS_PORT || '9090'}/readyz`;
const fail = (reason) => {
  console.error(`${address}: ${reason}`);
  process.exit(1);
};
get(address, { timeout: 4_000 }, async (response) => {
  const body = (await response.setEncoding('utf8').toArray()).join('');
  if (response.statusCode === 200) process.exit(0);
  fail(`${response.statusCode} ${body}`);
})
  .on('timeout', () => fail('no answer within 4 s'))
  .on('error', (error) => fail(error.message));
