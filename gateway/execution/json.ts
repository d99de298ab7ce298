/** JSON as it comes from subgraphs: names may be any, also those that every object inherits. */
export type JsonObject = Record<string, unknown>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether `object[name]` could be something inherited: `constructor`, `toString`, `__proto__` … */
export function isInherited(name: string): boolean {
  return name in Object.prototype;
}

export function own(object: JsonObject, name: string): unknown {
  return isInherited(name) && !Object.hasOwn(object, name) ? undefined : object[name];
}

export function put(object: JsonObject, name: string, value: unknown): void {
  if (name === '__proto__')
    Object.defineProperty(object, name, { value, enumerable: true, writable: true, configurable: true });
  else object[name] = value;
}

/** All of it anew; what holds nothing that could be changed stays as it is. */
export function copyOf<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((element: unknown) => copyOf(element)) as T;
  // Dates and the like, of subgraphs in this process.
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  const copy: JsonObject = {};
  for (const name in value) put(copy, name, copyOf((value as JsonObject)[name]));
  return copy as T;
}
