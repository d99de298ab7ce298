/** As much of HOCON as the files of deploy/emqx use: objects, paths as keys, lists, strings with and without quotes, comments. */
export type Hocon = string | readonly Hocon[] | HoconObject;
interface HoconObject {
  readonly [key: string]: Hocon;
}

/** @throws when it is anything else than that. */
export function parseHocon(text: string): Hocon {
  const tokens = [...text.matchAll(/#[^\n]*|"(?:[^"\\]|\\.)*"|[{}[\],=:]|\n|[^\s{}[\],=:"#]+/g)]
    .map(([token]) => token)
    .filter((token) => !token.startsWith('#'));
  let position = 0;
  const skip = (...ignored: string[]): void => {
    while (ignored.includes(tokens[position] ?? '')) position += 1;
  };
  const next = (): string => {
    const token = tokens[position];
    if (token === undefined) throw new Error('the file ends where something is expected');
    position += 1;
    return token;
  };
  const value = (): Hocon => {
    skip('\n');
    const token = next();
    if (token === '{') return members('}');
    if (token === '[') return list();
    if (/^[}\],=:]$/.test(token)) throw new Error(`"${token}" where a value is expected`);
    const rest = tokens[position];
    if (rest !== undefined && !['\n', ',', '}', ']'].includes(rest)) throw new Error(`"${rest}" behind "${token}"`);
    return token.startsWith('"') ? (JSON.parse(token) as string) : token;
  };
  const list = (): readonly Hocon[] => {
    const found: Hocon[] = [];
    skip('\n', ',');
    while (tokens[position] !== ']') {
      found.push(value());
      skip('\n', ',');
    }
    next();
    return found;
  };
  const members = (end: string | undefined): Hocon => {
    let found: HoconObject = {};
    skip('\n', ',');
    while (tokens[position] !== end) {
      const key = next();
      if (/^[{}[\],=:]$/.test(key)) throw new Error(`"${key}" where a key is expected`);
      if (tokens[position] === '=' || tokens[position] === ':') next();
      else if (tokens[position] !== '{') throw new Error(`"${key}" has no value`);
      const path = key.startsWith('"') ? [JSON.parse(key) as string] : key.split('.');
      found = merge(found, objectOf(path, value()));
      skip('\n', ',');
    }
    if (end !== undefined) next();
    return found;
  };
  return members(undefined);
}

/** The value at a path of keys. @throws when there is none. */
export function at(hocon: Hocon, path: string): Hocon {
  return path.split('.').reduce<Hocon>((inner, key) => {
    const found = typeof inner === 'object' ? (inner as HoconObject)[key] : undefined;
    if (found === undefined) throw new Error(`there is no ${path}`);
    return found;
  }, hocon);
}

/** The text at a path of keys. @throws when there is something else. */
export function textAt(hocon: Hocon, path: string): string {
  const found = at(hocon, path);
  if (typeof found !== 'string') throw new Error(`${path} is no text`);
  return found;
}

function objectOf([first, ...rest]: readonly string[], value: Hocon): HoconObject {
  return first === undefined ? {} : { [first]: rest.length === 0 ? value : objectOf(rest, value) };
}

/** Both objects; of a key that is in both, the objects together. @throws when a value is given twice. */
function merge(one: HoconObject, other: HoconObject): HoconObject {
  const result: Record<string, Hocon> = { ...one };
  for (const [key, value] of Object.entries(other)) {
    const before = result[key];
    if (before === undefined) result[key] = value;
    else if (isObject(before) && isObject(value)) result[key] = merge(before, value);
    else throw new Error(`"${key}" is given twice`);
  }
  return result;
}

function isObject(value: Hocon): value is HoconObject {
  return typeof value === 'object' && !Array.isArray(value);
}
