/** The roles that a process runs, wired to each other: the only file that knows every part. */
import type { DeviceDirectory } from '../../backbone/devices/device-directory.js';
import type { RoleName } from '../config/config.js';
import type { LocalSubgraph } from '../graphql/local-execution.js';
import type { Role, ServiceRole } from '../lifecycle/role.js';
import type { WorkerPool } from '../cluster/worker-pool.js';
import type { Foundations } from './foundations.js';
import { createGatewayWorkers } from './gateway-workers.js';
import { createOwnGateway } from './own-gateway.js';

export interface Parts {
  readonly ordered: readonly Role[];
  readonly subgraphs: Readonly<Partial<Record<'device' | 'actions' | 'query', ServiceRole>>>;
  readonly gateway?: ServiceRole;
  /** The gateway, if it is several processes. */
  readonly workers?: WorkerPool;
  readonly bridge?: ServiceRole & { mqttPort(): number | undefined };
}

/**
 * Makes the roles in start order: what others ask comes first, intake comes last, so that stopping in reverse drains.
 * The code of a role is loaded only where the role runs: most processes run one.
 */
export async function makeRoles(names: readonly RoleName[], base: Foundations): Promise<Parts> {
  const { config } = base;
  const has = (name: RoleName) => names.includes(name);
  const logOf = (role: RoleName) => ({ ...base, log: base.log.child({ role }) });
  // The bridge asks the device role's directory in process, whether or not that role serves its port here too.
  const device =
    has('device') || has('bridge')
      ? (await import('../../subgraphs/device/device.js')).createDeviceRole(logOf('device'))
      : undefined;
  const actions = has('actions')
    ? (await import('../../subgraphs/actions/actions.js')).createActionsRole(logOf('actions'))
    : undefined;
  const query = has('query')
    ? (await import('../../subgraphs/query/query.js')).createQueryRole(logOf('query'))
    : undefined;
  const urlOf = (role: ServiceRole | undefined, name: 'device' | 'actions' | 'query') => () =>
    config.subgraphUrls[name] ?? `http://${config.host}:${role?.port() ?? config.ports[name]}/graphql`;
  // Unless it is said where a subgraph is: then that one is meant.
  const localOf = (name: 'device' | 'actions' | 'query', role: LocalSubgraph | undefined) =>
    role && config.subgraphUrls[name] === undefined ? { [name]: role.execute } : {};
  const subgraphs = {
    device: urlOf(has('device') ? device : undefined, 'device'),
    actions: urlOf(actions, 'actions'),
    query: urlOf(query, 'query'),
  };
  const workers =
    has('gateway') && config.gatewayWorkers > 1 ? createGatewayWorkers(logOf('gateway'), subgraphs) : undefined;
  const gateway =
    has('gateway') && !workers
      ? await createOwnGateway({
          ...logOf('gateway'),
          subgraphs,
          local: {
            ...localOf('device', has('device') ? device : undefined),
            ...localOf('actions', actions),
            ...localOf('query', query),
          },
        })
      : workers;
  const relay = has('relay')
    ? (await import('../../backbone/relay/relay.js')).createRelayRole({ ...logOf('relay'), pool: base.backbonePool })
    : undefined;
  const projector = has('projector')
    ? (await import('../../workers/projector/projector.js')).createProjectorRole(logOf('projector'))
    : undefined;
  const orchestrator = has('orchestrator')
    ? (await import('../../workers/orchestrator/orchestrator.js')).createOrchestratorRole(logOf('orchestrator'))
    : undefined;
  const directory: DeviceDirectory | undefined = device?.directory;
  const bridge =
    has('bridge') && directory
      ? (await import('../../bridge/bridge.js')).createBridgeRole({ ...logOf('bridge'), directory })
      : undefined;
  const ordered = [has('device') ? device : undefined, actions, query, gateway, relay, projector, orchestrator, bridge];
  return {
    ordered: ordered.filter((role) => role !== undefined),
    subgraphs: {
      ...(device && has('device') ? { device } : {}),
      ...(actions ? { actions } : {}),
      ...(query ? { query } : {}),
    },
    ...(gateway ? { gateway } : {}),
    ...(workers ? { workers } : {}),
    ...(bridge ? { bridge } : {}),
  };
}
