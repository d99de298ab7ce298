import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDeviceWorld, type DeviceWorld } from '../device-world.js';
import { mutate, register } from '../operations.js';

let world: DeviceWorld;

beforeAll(async () => {
  world = await createDeviceWorld();
});

afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

interface Listed {
  readonly edges: readonly {
    readonly cursor: string;
    readonly node: { readonly id: string; readonly name: string; readonly createdAt: string };
  }[];
  readonly pageInfo: {
    readonly hasNextPage: boolean;
    readonly hasPreviousPage: boolean;
    readonly startCursor: string | null;
    readonly endCursor: string | null;
  };
  readonly totalCount: number;
}

const listQuery = `query L($first: Int, $after: String, $filter: DeviceFilter, $orderBy: DeviceOrder) {
  devices(first: $first, after: $after, filter: $filter, orderBy: $orderBy) {
    edges { cursor node { id name createdAt } } totalCount
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`;

async function list(tenant: string, variables: Readonly<Record<string, unknown>> = {}): Promise<Listed> {
  return (await world.data<{ devices: Listed }>(listQuery, variables, { tenant })).devices;
}

const namesOf = ({ edges }: Listed): readonly string[] => edges.map(({ node }) => node.name);
const freshTenant = (): string => `t${randomUUID().slice(0, 8)}`;

/** Registers devices of these names, one after the other, so that each has a time of its own. */
async function fleet(tenant: string, names: readonly string[]): Promise<readonly string[]> {
  const ids: string[] = [];
  for (const name of names) ids.push((await register(world, { name }, { tenant })).device.id);
  return ids;
}

/** All pages, with `between` done between two of them. */
async function walk(
  tenant: string,
  orderBy: string,
  first: number,
  between: (pageNumber: number, page: Listed) => Promise<unknown> = () => Promise.resolve(),
): Promise<readonly Listed['edges'][number]['node'][]> {
  const nodes: Listed['edges'][number]['node'][] = [];
  let after: string | null = null;
  for (let pageNumber = 1; ; pageNumber += 1) {
    const page: Listed = await list(tenant, { first, after, orderBy });
    nodes.push(...page.edges.map(({ node }) => node));
    if (!page.pageInfo.hasNextPage) return nodes;
    after = page.pageInfo.endCursor;
    await between(pageNumber, page);
  }
}

describe('the four orders', () => {
  it('sort by name as code points, or by time, and devices alike by id', async () => {
    const tenant = freshTenant();
    const names = ['b', 'B', 'ä', 'a', 'a', '\u{1F600}', '\uFF5E', 'a'];
    const ids = await fleet(tenant, names);
    const made = ids.map((id, n) => ({ id, name: names[n] ?? '' }));
    const byName = [...made].sort(
      (a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)) || (a.id < b.id ? -1 : 1),
    );
    const walked = async (orderBy: string) => (await walk(tenant, orderBy, 3)).map(({ id }) => id);
    expect(await walked('NAME')).toEqual(byName.map(({ id }) => id));
    expect(await walked('NAME_DESC')).toEqual(byName.map(({ id }) => id).reverse());
    expect(await walked('CREATED_AT')).toEqual(ids);
    expect(await walked('CREATED_AT_DESC')).toEqual([...ids].reverse());
  });

  it.each(['NAME', 'NAME_DESC', 'CREATED_AT', 'CREATED_AT_DESC'])(
    'by %s, show every device once however large the pages are, when all have the same name and time',
    async (orderBy) => {
      const tenant = freshTenant();
      const devices = Array.from({ length: 9 }, () => ({ name: 'same', typeId: 'generic' }));
      const { results } = await mutate(world, 'registerDevices', { devices }, { tenant });
      const ids = results.map(({ device }) => device?.id ?? '').sort();
      for (const first of [1, 2, 4, 9, 200]) {
        const walked = (await walk(tenant, orderBy, first)).map(({ id }) => id);
        expect(walked).toEqual(orderBy.endsWith('DESC') ? [...ids].reverse() : ids);
      }
    },
  );

  it.each(['NAME', 'NAME_DESC', 'CREATED_AT', 'CREATED_AT_DESC'])(
    'by %s, neither miss nor repeat a device while others come in between pages, in front and behind',
    async (orderBy) => {
      const tenant = freshTenant();
      const ids = await fleet(tenant, ['c', 'e', 'g', 'i', 'k', 'm', 'o']);
      const walked = await walk(tenant, orderBy, 2, async (pageNumber, { edges }) => {
        const edge = edges.at(-1)?.node.name ?? '';
        if (pageNumber <= 3) await fleet(tenant, [`a${edge}`, `${edge}+`, `z${edge}`]);
      });
      const seen = walked.map(({ id }) => id);
      expect(new Set(seen).size).toBe(seen.length);
      const old = seen.filter((id) => ids.includes(id));
      expect(old).toEqual(orderBy.endsWith('DESC') ? [...ids].reverse() : ids);
      const keys = walked.map(({ name, createdAt }) => (orderBy.startsWith('NAME') ? name : createdAt));
      const sorted = [...keys].sort();
      expect(keys).toEqual(orderBy.endsWith('DESC') ? sorted.reverse() : sorted);
    },
  );

  it('go on behind a device that was renamed after its page was shown', async () => {
    const tenant = freshTenant();
    const [a] = await fleet(tenant, ['a', 'b', 'c', 'd']);
    const { pageInfo } = await list(tenant, { first: 1 });
    await mutate(world, 'updateDevice', { id: a, name: 'zz' }, { tenant });
    expect(namesOf(await list(tenant, { first: 2, after: pageInfo.endCursor }))).toEqual(['b', 'c']);
  });
});

describe('a page', () => {
  it('tells where it is and how many devices there are in all', async () => {
    const tenant = freshTenant();
    await fleet(tenant, ['a', 'b', 'c']);
    const first = await list(tenant, { first: 2 });
    expect(first).toMatchObject({ totalCount: 3, pageInfo: { hasNextPage: true, hasPreviousPage: false } });
    expect(first.pageInfo.startCursor).toBe(first.edges[0]?.cursor);
    expect(first.pageInfo.endCursor).toBe(first.edges[1]?.cursor);
    const last = await list(tenant, { first: 2, after: first.pageInfo.endCursor });
    expect(last).toMatchObject({ totalCount: 3, pageInfo: { hasNextPage: false, hasPreviousPage: true } });
    expect(await list(freshTenant())).toEqual({
      edges: [],
      totalCount: 0,
      pageInfo: { hasNextPage: false, hasPreviousPage: false, startCursor: null, endCursor: null },
    });
  });

  it('has 20 devices unless it is told', async () => {
    const tenant = freshTenant();
    const devices = Array.from({ length: 21 }, (_, n) => ({ name: `d${n}`, typeId: 'generic' }));
    await mutate(world, 'registerDevices', { devices }, { tenant });
    expect((await list(tenant)).edges).toHaveLength(20);
    expect((await list(tenant, { first: null })).edges).toHaveLength(20);
  });

  it('of 0 has no devices, and tells whether there are some and how many', async () => {
    const tenant = freshTenant();
    const nothing = { hasPreviousPage: false, startCursor: null, endCursor: null };
    const empty = (totalCount: number, hasNextPage: boolean) => ({
      edges: [],
      totalCount,
      pageInfo: { ...nothing, hasNextPage },
    });
    expect(await list(tenant, { first: 0 })).toMatchObject(empty(0, false));
    await mutate(world, 'registerDevices', { devices: [{ name: 'd', typeId: 'generic' }] }, { tenant });
    expect(await list(tenant, { first: 0 })).toMatchObject(empty(1, true));
  });

  it.each([-1, 201])('of %d is refused', async (first) => {
    expect(await world.refusal(listQuery, { first })).toEqual({ code: 'BAD_USER_INPUT', field: 'first' });
  });

  const cursor = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  it.each([
    ['that is no base64', '%%%', 'NAME'],
    ['that is empty', '', 'NAME'],
    ['of another order', cursor(['NAME_DESC', 'a', 'b']), 'NAME'],
    ['that is too short', cursor(['NAME', 'a']), 'NAME'],
    ['with a time that is none', cursor(['CREATED_AT', 'yesterdays', 'b']), 'CREATED_AT'],
    ['with a time out of range', cursor(['CREATED_AT', '2026-13-45 00:00:00+00', 'b']), 'CREATED_AT'],
    ['with a time too far', cursor(['CREATED_AT_DESC', '999999-01-01 00:00:00+00', 'b']), 'CREATED_AT_DESC'],
    ['with U+0000 in its name', cursor(['NAME', 'a\u0000', 'b']), 'NAME'],
    ['with U+0000 in its id', cursor(['NAME', 'a', '\u0000']), 'NAME'],
    ['with half a surrogate pair', cursor(['NAME', '\ud800', 'b']), 'NAME'],
  ])('behind a cursor %s is refused', async (_, after, orderBy) => {
    expect(await world.refusal(listQuery, { after, orderBy })).toEqual({ code: 'BAD_USER_INPUT', field: 'after' });
  });
});
