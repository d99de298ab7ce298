/** The roles that a process runs, wired to each other: the only file that knows every part. */
import type { createBridgeRole } from '../bridge/bridge.js';
import type { RoleName } from '../platform/config/config.js';
import type { LocalSubgraph } from '../platform/graphql/local-execution.js';
import type { Role, ServiceRole } from '../platform/lifecycle/role.js';
import type { WorkerPool } from '../platform/cluster/worker-pool.js';
import type { createActionsRole } from '../subgraphs/actions/actions.js';
import type { createDeviceRole } from '../subgraphs/device/device.js';
import type { createQueryRole } from '../subgraphs/query/query.js';
import type { Foundations } from './foundations.js';
import { createGatewayWorkers } from './gateway-workers.js';
import { createOwnGateway } from './own-gateway.js';

export interface Parts {
  /** In the order in which they start. */
  readonly ordered: readonly Role[];
  readonly subgraphs: Readonly<Partial<Record<SubgraphName, ServiceRole>>>;
  readonly gateway?: ServiceRole;
  /** The gateway, if it is several processes. */
  readonly workers?: WorkerPool;
  readonly bridge?: ServiceRole & { mqttPort(): number | undefined };
}

type SubgraphName = 'device' | 'actions' | 'query';

/** The roles that were made so far. One that is only needed by another is made, and does not start. */
interface Made {
  device?: ReturnType<typeof createDeviceRole>;
  actions?: ReturnType<typeof createActionsRole>;
  query?: ReturnType<typeof createQueryRole>;
  gateway?: ServiceRole | WorkerPool;
  relay?: Role;
  projector?: Role;
  orchestrator?: Role;
  bridge?: ReturnType<typeof createBridgeRole>;
}

interface RoleEntry<Name extends RoleName> {
  readonly name: Name;
  /** Roles of which it uses an object in this process, whether or not they start here. */
  readonly needs: readonly RoleName[];
  /** Loads the code of the role, which is loaded only where the role runs: most processes run one. */
  readonly load: (base: Foundations, made: Made, starts: (name: RoleName) => boolean) => Promise<Made[Name]>;
}

/** In start order: what others ask comes first, intake comes last, so that stopping in reverse drains. */
const roles: readonly { [Name in RoleName]: RoleEntry<Name> }[RoleName][] = [
  {
    name: 'device',
    needs: [],
    load: async (base) => (await import('../subgraphs/device/device.js')).createDeviceRole(base),
  },
  {
    name: 'actions',
    needs: [],
    load: async (base) => (await import('../subgraphs/actions/actions.js')).createActionsRole(base),
  },
  {
    name: 'query',
    needs: [],
    load: async (base) => (await import('../subgraphs/query/query.js')).createQueryRole(base),
  },
  { name: 'gateway', needs: [], load: loadGateway },
  {
    name: 'relay',
    needs: [],
    load: async (base) =>
      (await import('../backbone/relay/relay.js')).createRelayRole({ ...base, pool: base.backbonePool }),
  },
  {
    name: 'projector',
    needs: [],
    load: async (base) => (await import('../workers/projector/projector.js')).createProjectorRole(base),
  },
  {
    name: 'orchestrator',
    needs: [],
    load: async (base) => (await import('../workers/orchestrator/orchestrator.js')).createOrchestratorRole(base),
  },
  {
    name: 'bridge',
    // It asks the device role's directory in process, whether or not that role serves its port here.
    needs: ['device'],
    async load(base, { device }) {
      if (!device) throw new Error('The bridge needs the directory of the device role.');
      const { directory } = device;
      return (await import('../bridge/bridge.js')).createBridgeRole({ ...base, directory });
    },
  },
];

/** Makes the roles of a process, in start order. */
export async function makeRoles(names: readonly RoleName[], base: Foundations): Promise<Parts> {
  const starts = (name: RoleName): boolean => names.includes(name);
  const needed = new Set(roles.flatMap(({ name, needs }) => (starts(name) ? [name, ...needs] : [])));
  const made: Made = {};
  for (const { name, load } of roles) {
    if (!needed.has(name)) continue;
    const role = await load({ ...base, log: base.log.child({ role: name }) }, made, starts);
    Object.assign(made, { [name]: role });
  }
  const started: Made = Object.fromEntries(Object.entries(made).filter(([name]) => starts(name as RoleName)));
  const { device, actions, query, gateway, bridge } = started;
  return {
    ordered: roles.flatMap(({ name }) => started[name] ?? []),
    subgraphs: { ...(device ? { device } : {}), ...(actions ? { actions } : {}), ...(query ? { query } : {}) },
    ...(gateway ? { gateway } : {}),
    ...(gateway && isWorkerPool(gateway) ? { workers: gateway } : {}),
    ...(bridge ? { bridge } : {}),
  };
}

/** One process, or a pool of workers. What the subgraphs of this process serve it is asked in process. */
async function loadGateway(
  base: Foundations,
  made: Made,
  starts: (name: RoleName) => boolean,
): Promise<ServiceRole | WorkerPool> {
  const { config } = base;
  const here = (name: SubgraphName) => (starts(name) ? made[name] : undefined);
  const urlOf = (name: SubgraphName) => () =>
    config.subgraphUrls[name] ?? `http://${config.host}:${here(name)?.port() ?? config.ports[name]}/graphql`;
  const subgraphs = { device: urlOf('device'), actions: urlOf('actions'), query: urlOf('query') };
  if (config.gatewayWorkers > 1) return createGatewayWorkers(base, subgraphs);
  // Unless it is said where a subgraph is: then that one is meant.
  const localOf = (name: SubgraphName) => {
    const role: LocalSubgraph | undefined = here(name);
    return role && config.subgraphUrls[name] === undefined ? { [name]: role.execute } : {};
  };
  const local = { ...localOf('device'), ...localOf('actions'), ...localOf('query') };
  return createOwnGateway({ ...base, subgraphs, local });
}

function isWorkerPool(gateway: ServiceRole | WorkerPool): gateway is WorkerPool {
  return 'failed' in gateway;
}
