/** The files of the deployment, parsed: compose, ECS, the example of .env. */
import { parse } from 'yaml';
import { read } from '../docs/repository.js';

export interface Service {
  readonly image: string;
  readonly profiles?: readonly string[];
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string | number>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly networks?: readonly string[];
  readonly tmpfs?: readonly string[];
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly restart?: string;
  readonly stop_grace_period?: string;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly deploy?: { readonly resources: { readonly limits: { readonly cpus: string; readonly memory: string } } };
}

export interface ComposeFile {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes?: Readonly<Record<string, unknown>>;
}

export const composeFiles = ['docker-compose.yml', 'docker-compose.infra.yml', 'docker-compose.durable.yml'] as const;

export function compose(path: (typeof composeFiles)[number] = 'docker-compose.yml'): ComposeFile {
  return parse(read(path), { merge: true }) as ComposeFile;
}

export function serviceOf(name: string): Service {
  const service = compose().services[name];
  if (service === undefined) throw new Error(`docker-compose.yml has no service ${name}`);
  return service;
}

/** Services that run fleetgraph's own image, each with its roles. */
export function roleServices(): readonly {
  readonly name: string;
  readonly service: Service;
  readonly roles: readonly string[];
}[] {
  return Object.entries(compose().services)
    .filter(([, { image }]) => image.startsWith('fleetgraph:'))
    .map(([name, service]) => ({ name, service, roles: rolesOf(service.command ?? []) }));
}

/** What stands behind --roles. */
export function rolesOf(command: readonly string[]): readonly string[] {
  return command[0] === 'start' && command[1] === '--roles' ? (command[2] ?? '').split(',') : [];
}

/** Variables that a text asks of the environment, as compose writes them. */
export function interpolated(text: string): readonly string[] {
  return [...new Set([...text.matchAll(/\$\{(\w+)/g)].map(([, name]) => name ?? ''))];
}

/** The variables of .env.example. */
export function exampleVariables(): ReadonlyMap<string, string> {
  return new Map(
    [...read('.env.example').matchAll(/^(\w+)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value]),
  );
}
