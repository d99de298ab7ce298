/** The configuration of Traefik and EMQX against compose and ECS, which mount it and set what it asks for. */
import { describe, expect, test } from 'vitest';
import { exists, files, read } from '../docs/repository.js';
import { hasServer } from '../world/real-servers.js';
import { compose, serviceOf } from './deploy-world.js';
import { container, environmentOf } from './ecs-world.js';

const textOf = (folder: string) =>
  (exists(folder) ? files(folder) : [])
    .map(read)
    .join('\n')
    .replaceAll(/^\s*#.*$/gm, '');

/** Go templates of Traefik's dynamic file: env "NAME". */
const askedByTraefik = new Set([...textOf('deploy/traefik').matchAll(/\benv "(\w+)"/g)].map(([, name]) => name ?? ''));
/** HOCON: ${NAME}, ${?NAME}. EMQX fills in its own templates, ${username}, in small letters. */
const askedByEmqx = new Set(
  [...textOf('deploy/emqx').matchAll(/\$\{\??([A-Z][A-Z0-9_]+)\}/g)].map(([, name]) => name ?? ''),
);

/** Those that the programs read themselves: EMQX_NODE__COOKIE is node.cookie, GOMEMLIMIT is of Go's runtime. */
const isOwn = (name: string) => name.startsWith('EMQX_') || name === 'GOMEMLIMIT';

const edge = [
  ['traefik', askedByTraefik],
  ['emqx', askedByEmqx],
] as const;

for (const [name, asked] of edge) {
  const folder = `deploy/${name}`;
  const isThere = hasServer(exists(folder) ? folder : undefined, folder, `compose and ECS mount it.`);
  describe.skipIf(!isThere)(name, () => {
    const inCompose = () => Object.keys(serviceOf(name).environment ?? {});
    const onThisMachine = () => [
      ...inCompose(),
      ...Object.keys(compose('docker-compose.infra.yml').services[name]?.environment ?? {}),
    ];
    const onEcs = () => Object.keys(environmentOf(container(name)));

    test('is given in compose every variable that its files ask for, and no other', () => {
      expect(asked.size).toBeGreaterThan(0);
      expect(
        inCompose()
          .filter((variable) => !isOwn(variable))
          .sort(),
      ).toEqual([...asked].sort());
      expect([...new Set(onThisMachine())].filter((variable) => !isOwn(variable)).sort()).toEqual([...asked].sort());
    });

    test('is given on ECS every variable that its files ask for, and no other', () => {
      expect(
        onEcs()
          .filter((variable) => !isOwn(variable))
          .sort(),
      ).toEqual([...asked].sort());
    });

    test('has the files that compose mounts', () => {
      const mounted = (serviceOf(name).volumes ?? [])
        .map((volume) => volume.split(':')[0] ?? '')
        .filter((path) => path.startsWith('./'));
      expect(mounted.length).toBeGreaterThan(0);
      expect(mounted.filter((path) => !exists(path))).toEqual([]);
    });
  });
}
