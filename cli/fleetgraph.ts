/**
 * The command line. Exit codes: 0 done, 1 failed, 78 (EX_CONFIG) can't start as configured.
 * A command's code is loaded when it is run: `token` has no use for a gateway.
 */
import { Command, InvalidArgumentError } from 'commander';
import { messageOf, StartupError } from '../platform/errors.js';
import type { DeadLetterOptions } from './dead-letters.js';
import type { demo } from './demo.js';
import type { RunningSubgraph } from '../gateway/supergraph/composed-supergraph.js';
import type { gateway } from './gateway.js';
import type { replay } from './replay.js';
import type { simulate } from './simulate.js';
import type { token } from './token.js';
import { replayable } from '../workers/projector/replay/rebuilding.js';
import { roleNames, type RoleName } from '../platform/config/config.js';

const program = new Command('fleetgraph').description(
  'One federated GraphQL API over an event backbone, for fleets of devices.',
);

program
  .command('start')
  .description('start roles, all of them in this process unless some are named')
  .option('--roles <names>', `comma-separated: ${roleNames.join(', ')}`, parseRoles)
  .action(async (options: { roles?: RoleName[] }) => (await import('./start.js')).start(options));

program
  .command('gateway')
  .description('run the gateway alone, in front of the subgraphs of any supergraph')
  .option('--supergraph <file>', 'SDL that the subgraphs compose to; read again when it changes, and on SIGHUP')
  .option('--subgraph <name=url>', 'a running subgraph, once for each, in the place of a file', addSubgraph)
  .option('--port <port>', 'port to listen on; default: GATEWAY_PORT, which is 4000 unless it is set', parsePort)
  .action(async (options: Parameters<typeof gateway>[0]) => (await import('./gateway.js')).gateway(options));

program
  .command('simulate')
  .description('register devices through the API and publish as them, each over an MQTT connection of its own')
  .option('--devices <count>', 'devices', parseCount, 10)
  .option('--rate <perSecond>', 'messages a second, of all devices together', parseCount, 10)
  .option('--seconds <seconds>', 'publish for this long; default: until Ctrl-C', parseCount)
  .option('--tenant <name>', 'tenant of the devices', 'acme')
  .option('--gateway <url>', 'GraphQL API; default: the gateway on this machine')
  .option('--mqtt <url>', 'MQTT broker; default: the one on this machine')
  .option('--token <jwt>', 'token for the API; default: one of the development issuer')
  .action(async (options: Parameters<typeof simulate>[0]) => (await import('./simulate.js')).simulate(options));

program
  .command('demo')
  .description('start and simulate together')
  .option('--devices <count>', 'devices', parseCount, 20)
  .option('--rate <perSecond>', 'messages a second, of all devices together', parseCount, 20)
  .option('--seconds <seconds>', 'publish for this long; default: until Ctrl-C', parseCount)
  .action(async (options: Parameters<typeof demo>[0]) => (await import('./demo.js')).demo(options));

program
  .command('token')
  .description('print a token of the development issuer')
  .option('--tenant <name>', 'tenant that the token is for', 'acme')
  .option('--scope <scopes...>', 'scopes; default: all')
  .option('--subject <name>', 'whom the token names', 'developer')
  .option('--lifetime <seconds>', 'seconds until it expires', parseCount, 86_400)
  .action(async (options: Parameters<typeof token>[0]) => (await import('./token.js')).token(options));

const deadLetters = program
  .command('dead-letters')
  .description('records that a consumer could not process: see them, have them processed again, discard them');
const ofDeadLetters = (name: string, description: string) =>
  deadLetters
    .command(name)
    .description(description)
    .option('--consumer <name>', 'those of this consumer')
    .option('--type <type>', 'those of events of this type')
    .option('--cause <text>', 'those whose cause begins so')
    .option('--from <time>', 'those that failed at this time (RFC 3339) or later')
    .option('--to <time>', 'those that failed before this time')
    .option('--tenant <name>', 'tenant of the development token', 'acme')
    .option('--gateway <url>', 'GraphQL API; default: the gateway on this machine')
    .option('--token <jwt>', 'token for the API; default: one of the development issuer');
ofDeadLetters('list', 'print them, those that failed last first')
  .option('--status <names...>', 'PENDING, REPLAYING, REPLAYED or DISCARDED; default: the first two')
  .option('--limit <count>', 'at most so many', parseCount, 50)
  .option('--json', 'each as an object, with payload, headers and stack')
  .action(async (options: DeadLetterOptions) => (await import('./dead-letters.js')).listDeadLetters(options));
ofDeadLetters(
  'replay',
  'have them processed again, each by its consumer: by their ids, or all that the options describe',
)
  .argument('[ids...]')
  .action(async (ids: string[], options: DeadLetterOptions) =>
    (await import('./dead-letters.js')).replayDeadLetters(ids, options),
  );
ofDeadLetters('discard', 'set them aside for good: by their ids, or all that the options describe')
  .argument('[ids...]')
  .action(async (ids: string[], options: DeadLetterOptions) =>
    (await import('./dead-letters.js')).discardDeadLetters(ids, options),
  );

program
  .command('replay')
  .description('rebuild a projection beside the live one, from the event store or the readings, and switch over')
  .requiredOption('--projection <name>', `one of ${Object.keys(replayable).join(', ')}`)
  .option('--from <time>', 'rebuild what has changed since (RFC 3339), keep the rest; default: everything', parseTime)
  .action(async (options: Parameters<typeof replay>[0]) => (await import('./replay.js')).replay(options));

function parseTime(value: string): Date {
  const time = new Date(value);
  if (!/^\d{4}-\d{2}-\d{2}T.+(Z|[+-]\d{2}:\d{2})$/i.test(value) || Number.isNaN(time.getTime()))
    throw new InvalidArgumentError('It must be a time with its offset, e.g. 2026-01-31T12:00:00Z.');
  return time;
}

function parseCount(value: string): number {
  const count = Number(value);
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError('It must be a whole number from 1 on.');
  return count;
}

function parsePort(value: string): number {
  const port = Number(value);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new InvalidArgumentError('It must be a whole number from 0 (any free port) to 65535.');
  return port;
}

function addSubgraph(value: string, before: readonly RunningSubgraph[] = []): readonly RunningSubgraph[] {
  const [, name, url] = /^([A-Za-z][A-Za-z0-9_-]*)=(https?:\/\/.+)$/.exec(value) ?? [];
  if (name === undefined || url === undefined || !URL.canParse(url))
    throw new InvalidArgumentError('It must be a name and a URL, e.g. reviews=http://127.0.0.1:4001/graphql.');
  if (before.some((subgraph) => subgraph.name === name)) throw new InvalidArgumentError(`"${name}" is named twice.`);
  return [...before, { name, url }];
}

function parseRoles(value: string): RoleName[] {
  return value.split(',').map((name) => {
    const role = roleNames.find((known) => known === name.trim());
    if (role === undefined)
      throw new InvalidArgumentError(`"${name}" is not a role. Roles are ${roleNames.join(', ')}.`);
    return role;
  });
}

try {
  await program.parseAsync();
} catch (error) {
  console.error(`fleetgraph: ${messageOf(error)}`);
  // What isn't one of our own sentences is a defect; its origin helps whoever mends it.
  if (!(error instanceof StartupError) && process.exitCode === undefined)
    console.error(error instanceof Error ? error.stack : error);
  process.exitCode = error instanceof StartupError ? 78 : 1;
}
