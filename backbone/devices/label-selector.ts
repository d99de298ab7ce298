/**
 * The one way to name a set of devices: by type, by labels, by id. Wherever devices are selected (lists, subscriptions,
 * commands to many, rules) the input is the same, and means the same as a function of a device and as a condition in SQL.
 * The meaning of label conditions is that of Kubernetes: `notIn` and `exists: false` hold for devices without the label, too.
 */
import { z } from 'zod';
import { FleetgraphError } from '../../platform/errors.js';
import { isStorableText } from '../../platform/database/storable.js';

export const maxSelectedTypes = 100;
export const maxSelectedIds = 1_000;
export const maxLabelConditions = 32;
export const maxLabelValues = 100;

const text = (min: number, max: number) =>
  z
    .string()
    .refine((value) => value.length >= min && value.length <= max, `must have ${min} to ${max} characters`)
    .refine(isStorableText, 'has a character that can not be stored');

/** A list that is given is a condition, and an empty one would never hold: more likely something was forgotten. */
const list = <Item extends z.ZodType>(item: Item, max: number, what: string) =>
  z
    .array(item)
    .min(1, `is empty, so no device would match; leave it out to have no condition on ${what}`)
    .max(max, `has more than ${max.toLocaleString('en')} ${what}`);

const operators = ['equals', 'in', 'notIn', 'exists'] as const;

const labelCondition = z
  .object({
    key: z.string().regex(/^[A-Za-z0-9_./-]{1,63}$/, 'must be 1 to 63 letters, digits, "_", ".", "/" or "-"'),
    equals: text(0, 255).nullish(),
    in: list(text(0, 255), maxLabelValues, 'values').nullish(),
    notIn: list(text(0, 255), maxLabelValues, 'values').nullish(),
    exists: z.boolean().nullish(),
  })
  .transform((condition, context): LabelCondition => {
    const { key, equals, in: oneOf, notIn, exists } = condition;
    const given = operators.filter((operator) => condition[operator] !== null && condition[operator] !== undefined);
    if (given.length !== 1) {
      const what = given.length === 0 ? 'says nothing about the label' : `has both "${given.join('" and "')}"`;
      context.addIssue({ code: 'custom', message: `${what}; give exactly one of "${operators.join('", "')}"` });
      return z.NEVER;
    }
    if (typeof equals === 'string') return { key, equals };
    if (oneOf) return { key, in: oneOf };
    return notIn ? { key, notIn } : { key, exists: exists ?? true };
  });

/** `DeviceSelector` of the graph, as it comes, to what is kept: only the conditions that there are. */
export const deviceSelector = z
  .object({
    typeIds: list(text(1, 128), maxSelectedTypes, 'types').nullish(),
    labels: list(labelCondition, maxLabelConditions, 'conditions').nullish(),
    ids: list(text(1, 128), maxSelectedIds, 'devices').nullish(),
  })
  .transform(({ typeIds, labels, ids }): DeviceSelector => ({
    ...(typeIds ? { typeIds } : {}),
    ...(labels ? { labels } : {}),
    ...(ids ? { ids } : {}),
  }));

/** A condition on one label. */
export type LabelCondition =
  | { readonly key: string; readonly equals: string }
  | { readonly key: string; readonly in: readonly string[] }
  | { readonly key: string; readonly notIn: readonly string[] }
  | { readonly key: string; readonly exists: boolean };

/** Which devices: every condition that is there must hold. Without any, all devices. It is plain JSON. */
export interface DeviceSelector {
  readonly typeIds?: readonly string[];
  readonly labels?: readonly LabelCondition[];
  readonly ids?: readonly string[];
}

/** What a selector looks at. */
export interface SelectableDevice {
  readonly id: string;
  readonly typeId: string;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * The selector in an input, checked. `field` is where it is, e.g. `input.selector`.
 * @throws FleetgraphError BAD_USER_INPUT that names the field at fault, e.g. `input.selector.labels[2].in`.
 */
export function readSelector(input: unknown, field: string): DeviceSelector {
  const parsed = deviceSelector.safeParse(input);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const place = (issue?.path ?? []).reduce<string>(
    (before, part) => (typeof part === 'number' ? `${before}[${part}]` : `${before}.${String(part)}`),
    field,
  );
  throw new FleetgraphError('BAD_USER_INPUT', `${place} ${issue?.message ?? 'is wrong'}.`, { field: place });
}

/** Whether it has no condition: it selects every device. */
export function selectsAll({ typeIds, labels, ids }: DeviceSelector): boolean {
  return typeIds === undefined && labels === undefined && ids === undefined;
}

/** The selector as a function of a device. Made once, it looks at a device in time that does not depend on its lists. */
export function selectorMatcher(selector: DeviceSelector): (device: SelectableDevice) => boolean {
  const ids = selector.ids && new Set(selector.ids);
  const typeIds = selector.typeIds && new Set(selector.typeIds);
  const conditions = (selector.labels ?? []).map(labelMatcher);
  return (device) =>
    (ids === undefined || ids.has(device.id)) &&
    (typeIds === undefined || typeIds.has(device.typeId)) &&
    conditions.every((holds) => holds(device.labels));
}

/**
 * The same for a device of which perhaps nothing but the id is known yet (`known` is null): then it is selected by its id alone, and not
 * at all by a selector that asks for a type or labels.
 */
export function selectorMatcherById(
  selector: DeviceSelector,
): (id: string, known: Omit<SelectableDevice, 'id'> | null) => boolean {
  const matches = selectorMatcher(selector);
  const asksMore = selector.typeIds !== undefined || selector.labels !== undefined;
  return (id, known) =>
    known === null ? !asksMore && matches({ id, typeId: '', labels: {} }) : matches({ id, ...known });
}

function labelMatcher(condition: LabelCondition): (labels: SelectableDevice['labels']) => boolean {
  const { key } = condition;
  // Own properties only: a label may be called `constructor`.
  const valueOf = (labels: SelectableDevice['labels']) => (Object.hasOwn(labels, key) ? labels[key] : undefined);
  if ('exists' in condition) return (labels) => Object.hasOwn(labels, key) === condition.exists;
  if ('equals' in condition) return (labels) => valueOf(labels) === condition.equals;
  const values = new Set<string | undefined>('in' in condition ? condition.in : condition.notIn);
  const wanted = 'in' in condition;
  return (labels) => values.has(valueOf(labels)) === wanted;
}

/** Where the owner of a table keeps what a selector looks at, as SQL. */
export interface SelectorColumns {
  readonly id: string;
  readonly typeId: string;
  /** A condition, true or false and never null: the device has the label; with `values` (a text[]), one of these values of it. */
  readonly hasLabel: (key: string, values: string | undefined) => string;
}

/** The labels as one jsonb column, an object of strings. */
export function labelsInJson(column: string): SelectorColumns['hasLabel'] {
  return (key, values) =>
    values === undefined
      ? `(${column}->>${key}) IS NOT NULL`
      : `coalesce((${column}->>${key}) = ANY(${values}), false)`;
}

/**
 * The selector as conditions in SQL, all of which must hold; none if it selects every device.
 * `place` takes the value of a parameter and returns its place, e.g. `$3`.
 */
export function selectorConditions(
  selector: DeviceSelector,
  columns: SelectorColumns,
  place: (value: unknown) => string,
): readonly string[] {
  const { typeIds, labels, ids } = selector;
  return [
    ...(ids ? [`${columns.id} = ANY(${place(ids)}::text[])`] : []),
    ...(typeIds ? [`${columns.typeId} = ANY(${place(typeIds)}::text[])`] : []),
    ...(labels ?? []).map((condition) => {
      const has = (values?: readonly string[]) =>
        columns.hasLabel(`${place(condition.key)}::text`, values && `${place(values)}::text[]`);
      if ('exists' in condition) return condition.exists ? has() : `NOT (${has()})`;
      if ('notIn' in condition) return `NOT (${has(condition.notIn)})`;
      return has('in' in condition ? condition.in : [condition.equals]);
    }),
  ];
}
