/** The CloudFormation template, with its conditions decided: a bus of its own or MSK, devices with certificates or not. */
import { parse } from 'yaml';
import { read } from '../docs/repository.js';

export interface Container {
  readonly Name: string;
  readonly Image: unknown;
  readonly Essential?: boolean;
  readonly EntryPoint?: readonly string[];
  readonly Command?: readonly string[];
  readonly Memory: number;
  readonly StopTimeout?: number;
  readonly ReadonlyRootFilesystem?: boolean;
  readonly PortMappings?: readonly { readonly ContainerPort: number }[];
  readonly Environment?: readonly { readonly Name: string; readonly Value: unknown }[];
  readonly Secrets?: readonly { readonly Name: string; readonly ValueFrom: unknown }[];
  readonly MountPoints?: readonly {
    readonly SourceVolume: string;
    readonly ContainerPath: string;
    readonly ReadOnly?: boolean;
  }[];
  readonly DependsOn?: readonly { readonly ContainerName: string; readonly Condition: string }[];
  readonly HealthCheck?: { readonly Command: readonly string[] };
  readonly LogConfiguration?: { readonly LogDriver: string };
}

interface Template {
  readonly Parameters: Readonly<
    Record<string, { readonly Default?: string | number; readonly AllowedValues?: readonly string[] }>
  >;
  readonly Resources: Readonly<
    Record<string, { readonly Type: string; readonly Properties: Readonly<Record<string, unknown>> }>
  >;
}

export const template = parse(read('deploy/ecs/fleetgraph.yaml')) as Template;

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isNoValue = (value: unknown) => isObject(value) && value['Ref'] === 'AWS::NoValue';

/** What is decided when the stack is made; default: a bus of its own, and no certificates. */
export interface Choices {
  readonly ownBus?: boolean;
  readonly deviceTls?: boolean;
}

/** Takes the branch of every Fn::If, and the default of every parameter that has one. */
function decide(value: unknown, choices: Choices): unknown {
  if (Array.isArray(value)) return value.map((item) => decide(item, choices)).filter((item) => !isNoValue(item));
  if (!isObject(value)) return value;
  if (Array.isArray(value['Fn::If'])) {
    const [condition, then, otherwise] = value['Fn::If'] as readonly unknown[];
    return decide(holds(condition, choices) ? then : otherwise, choices);
  }
  const parameter = typeof value['Ref'] === 'string' ? template.Parameters[value['Ref']] : undefined;
  if (parameter?.Default !== undefined && parameter.Default !== '') return String(parameter.Default);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, decide(item, choices)]));
}

function holds(condition: unknown, { ownBus = true, deviceTls = false }: Choices): boolean {
  const conditions: Readonly<Record<string, boolean>> = { OwnBus: ownBus, ForeignBus: !ownBus, DeviceTls: deviceTls };
  const held = conditions[String(condition)];
  if (held === undefined) throw new Error(`deploy/ecs/fleetgraph.yaml asks for a condition ${String(condition)}`);
  return held;
}

export function resource(name: string, choices: Choices = {}): Readonly<Record<string, unknown>> {
  return decide(template.Resources[name]?.Properties, choices) as Readonly<Record<string, unknown>>;
}

export function containers(choices: Choices = {}): readonly Container[] {
  return decide(template.Resources['Task']?.Properties['ContainerDefinitions'], choices) as readonly Container[];
}

export function container(name: string, choices: Choices = {}): Container {
  const found = containers(choices).find(({ Name }) => Name === name);
  if (found === undefined) throw new Error(`deploy/ecs/fleetgraph.yaml has no container ${name}`);
  return found;
}

/** Containers that run roles: fleetgraph's image as it is. */
export function roleContainers(choices: Choices = {}): readonly Container[] {
  return containers(choices).filter(({ Command }) => Command?.[1] === '--roles');
}

/** What the container finds in its environment; a secret or a parameter without default is `stand-in`. */
export function environmentOf({ Environment = [], Secrets = [] }: Container): Record<string, string> {
  const standIns: Readonly<Record<string, string>> = {
    DATABASE_URL: 'postgres://user:password@database.internal:5432/fleetgraph?sslmode=verify-full',
    JWKS_URL: 'https://issuer.example/jwks.json',
    KAFKA_BROKERS: 'b-1.msk.internal:9096',
  };
  return Object.fromEntries([
    ...Secrets.map(({ Name }) => [Name, standIns[Name] ?? 'stand-in-of-24-characters'] as const),
    ...Environment.map(
      ({ Name, Value }) =>
        [
          Name,
          typeof Value === 'string' && Value !== ''
            ? Value
            : typeof Value === 'string'
              ? ''
              : (standIns[Name] ?? 'stand-in'),
        ] as const,
    ),
  ]);
}
