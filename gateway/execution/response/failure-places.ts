/**
 * Where in the answer failures are reported. A failure knows objects of the data and fields that are
 * missing in them (plan/fetch-failures.ts); completion comes to each object in each of its places,
 * and asks here for the reason of each null.
 *
 * Invariant (GraphQL specification, 7.1.2 and 6.4.4): each error has the path of a field that is
 * null in the answer, or that is below a null which went up from it; and a field has one error at
 * most. What is missing nowhere in the answer, since the client has not asked for it, is reported
 * without a path, once.
 */
import type { JsonObject } from '../json.js';
import type { FieldTree } from '../plan/fetched-fields.js';
import type { Failure } from '../run.js';

export type Path = readonly (string | number)[];

export interface FailurePlaces {
  /**
   * Completion comes to an object.
   * @param holder what it is in, and the name of the field in the data
   */
  enter(object: JsonObject, path: Path, holder?: { readonly object: JsonObject; readonly field: string }): void;
  /**
   * Whether a failure is the reason why a field of the object has no value; then it is reported at the
   * path.
   */
  explains(
    field: { readonly object: JsonObject; readonly name: string; readonly isMissing: boolean },
    path: Path,
  ): boolean;
  /**
   * Whether a subgraph has told an error with this path, or with one below it; then that is reported.
   */
  isTold(path: Path): boolean;
  /**
   * All failures that completion came across, each with its places, in the order in which they
   * happened.
   */
  all(): readonly PlacedFailure[];
}

export interface PlacedFailure {
  readonly failure: Failure;
  /** Empty: nowhere in the answer. */
  readonly paths: readonly Path[];
}

const none: FieldTree = new Map();
/** Of a failure that is about very many objects, so many are reported. */
const maxObjects = 25;

interface Entry {
  readonly failure: Failure;
  /** Where completion found something missing. */
  readonly found: Path[];
  /** Where the subgraph says that it was, in each place of the object. */
  readonly said: Step[];
  objects: number;
  last: JsonObject | undefined;
}

/** What of an object is missing because of a failure. */
interface Cover {
  readonly entry: Entry;
  readonly fields: FieldTree;
  readonly suspects: FieldTree;
  /** What the subgraph has said of the object; not of what is in it. */
  readonly path: Path | undefined;
}

/** A tree of the paths that subgraphs have said. */
interface Step {
  readonly path: Path;
  readonly above: Step | undefined;
  readonly next: Map<string | number, Step>;
  /** Whether completion came to a null here. */
  isNull: boolean;
}

export function createFailurePlaces(failures: readonly Failure[]): FailurePlaces {
  const entries = failures.map((failure): Entry => ({ failure, found: [], said: [], objects: 0, last: undefined }));
  const covers = new Map<JsonObject, Cover[]>();
  const root = stepAt([], undefined);
  for (const entry of entries) {
    const { objects, fields, suspects, path } = entry.failure.gap;
    for (const object of objects) {
      const cover = { entry, fields, suspects, path };
      const known = covers.get(object);
      if (known) known.push(cover);
      else covers.set(object, [cover]);
    }
  }

  const isTold = (path: Path): boolean => {
    let step: Step | undefined = root;
    for (const element of path) step = step?.next.get(element);
    if (!step || step === root) return false;
    step.isNull = true;
    return true;
  };

  return {
    isTold,
    enter(object, path, holder) {
      for (const { entry, fields, suspects } of (holder && covers.get(holder.object)) ?? []) {
        const inner = holder && fields.get(holder.field);
        if (inner && inner.size > 0)
          add(covers, object, { entry, fields: inner, suspects: suspects.get(holder.field) ?? none, path: undefined });
      }
      for (const { entry, path: said } of covers.get(object) ?? [])
        if (said) entry.said.push(grow(root, [...path, ...said]));
    },
    explains({ object, name, isMissing }, path) {
      if (isTold(path)) return true;
      const all = covers.get(object) ?? [];
      const reasons = all.filter(({ fields, suspects }) => (isMissing ? fields : suspects).has(name));
      const reason = reasons.find(({ entry }) => entry.failure.gap.named === name) ?? reasons[0];
      // Without a failure it would have been fetched: the object was not known to be there in time.
      const entry = reason?.entry ?? (isMissing ? (all[0]?.entry ?? entries.at(-1)) : undefined);
      if (!entry) return false;
      if (entry.last !== object) entry.objects += 1;
      entry.last = object;
      if (entry.objects <= maxObjects) entry.found.push(path);
      return true;
    },
    all() {
      const placed = entries.map(({ failure, found, said }) => ({
        failure,
        paths: [
          ...said
            .filter(isBelowNull)
            .slice(0, maxObjects)
            .map(({ path }) => path),
          ...found,
        ],
      }));
      const told = new Set<object>();
      for (const { failure, paths } of placed) if (paths.length > 0) told.add(failure.origin);
      return placed.filter(({ failure: { origin }, paths }) => {
        if (paths.length > 0) return true;
        const isNew = !told.has(origin);
        told.add(origin);
        return isNew;
      });
    },
  };
}

function add(covers: Map<JsonObject, Cover[]>, object: JsonObject, cover: Cover): void {
  const known = covers.get(object);
  if (!known) covers.set(object, [cover]);
  // An object that is in several places is come to several times.
  else if (!known.some(({ entry, fields }) => entry === cover.entry && fields === cover.fields)) known.push(cover);
}

function grow(root: Step, path: Path): Step {
  let step = root;
  path.forEach((element, index) => {
    let next = step.next.get(element);
    if (!next) step.next.set(element, (next = stepAt(path.slice(0, index + 1), step)));
    step = next;
  });
  return step;
}

function stepAt(path: Path, above: Step | undefined): Step {
  return { path, above, next: new Map(), isNull: false };
}

function isBelowNull(step: Step): boolean {
  for (let at: Step | undefined = step; at; at = at.above) if (at.isNull) return true;
  return false;
}
