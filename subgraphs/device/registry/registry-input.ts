/** The inputs of the mutations, checked: what comes out of here can be decided on and stored. */
import { z } from 'zod';
import { schemaFault } from '../../../backbone/devices/command-schema.js';
import { stateFault } from '../../../backbone/devices/device-state.js';
import { isStorableText, type JsonObject } from '../../../platform/database/storable.js';
import { FleetgraphError } from '../../../platform/errors.js';
import { isObject } from '../twin/merge-patch.js';

const text = (min: number, max: number) =>
  z
    .string()
    .refine((value) => value.length >= min && value.length <= max, `must have ${min} to ${max} characters`)
    .refine(isStorableText, 'has a character that can not be stored');

const id = text(1, 128);
const name = z
  .string()
  .transform((value) => value.trim())
  .pipe(text(1, 200));
const label = z.object({
  key: z.string().regex(/^[A-Za-z0-9_./-]{1,63}$/, 'must be 1 to 63 letters, digits, "_", ".", "/" or "-"'),
  value: text(0, 255),
});
const labels = z
  .array(label)
  .max(64, 'has more than 64 labels')
  .superRefine((list, context) => {
    list.forEach(({ key }, index) => {
      if (list.findIndex((other) => other.key === key) < index)
        context.addIssue({ code: 'custom', path: [index, 'key'], message: `is "${key}", as another label's` });
    });
  })
  .transform((list) => Object.fromEntries(list.map(({ key, value }) => [key, value])));
const idempotencyKey = text(1, 200)
  .nullish()
  .transform((value) => value ?? undefined);
const optional = <T extends z.ZodType>(schema: T) => schema.nullish().transform((value) => value ?? undefined);

const stateObject = z.unknown().transform((value, context): JsonObject => {
  const fault = !isObject(value) ? 'must be a JSON object' : stateFault(value);
  if (fault !== undefined) {
    context.addIssue({ code: 'custom', message: fault });
    return z.NEVER;
  }
  return value as JsonObject;
});

export const newDevice = z.object({ name, typeId: id, labels: labels.nullish().transform((value) => value ?? {}) });
export const registerDevice = newDevice.extend({ idempotencyKey });
export const registerDevices = z.object({
  devices: z.array(z.unknown()).min(1, 'is empty').max(1_000, 'has more than 1,000 devices'),
  idempotencyKey,
});
export const updateDevice = z.object({
  id,
  name: optional(name),
  typeId: optional(id),
  labels: optional(labels),
  expectedRevision: optional(z.int()),
  idempotencyKey,
});
export const ofDevice = z.object({ id, idempotencyKey });
export const setDesiredState = z.object({
  id,
  desired: stateObject,
  merge: z
    .boolean()
    .nullish()
    .transform((value) => value ?? true),
  expectedVersion: optional(z.int()),
  idempotencyKey,
});

const metric = z.object({
  name: text(1, 128),
  kind: z.enum(['NUMBER', 'BOOLEAN', 'STRING']),
  unit: optional(text(0, 32)),
  description: optional(text(0, 2_000)),
});
const command = z.object({
  name: z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/, 'must be 1 to 64 letters, digits, "_", "." or "-"'),
  description: optional(text(0, 2_000)),
  parametersSchema: z
    .unknown()
    .transform((value, context): JsonObject | boolean | undefined => {
      if (value === null || value === undefined) return undefined;
      const fault = schemaFault(value);
      if (fault === undefined) return value as JsonObject | boolean;
      context.addIssue({ code: 'custom', message: fault });
      return z.NEVER;
    })
    .optional(),
});
export const defineDeviceType = z.object({
  id: z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/, 'must be 1 to 64 letters, digits, "_", "." or "-"'),
  name,
  description: optional(text(0, 2_000)),
  metrics: z
    .array(metric)
    .max(500, 'has more than 500 metrics')
    .superRefine((list, context) => {
      list.forEach((entry, index) => {
        if (list.findIndex((other) => other.name === entry.name) < index)
          context.addIssue({
            code: 'custom',
            path: [index, 'name'],
            message: `is "${entry.name}", as another metric's`,
          });
      });
    })
    .nullish()
    .transform((value) => value ?? []),
  commands: z
    .array(command)
    .max(100, 'has more than 100 commands')
    .superRefine((list, context) => {
      list.forEach((entry, index) => {
        if (list.findIndex((other) => other.name === entry.name) < index)
          context.addIssue({
            code: 'custom',
            path: [index, 'name'],
            message: `is "${entry.name}", as another command's`,
          });
      });
    })
    .nullish()
    .transform((value) => value ?? []),
  decoder: z
    .string()
    .regex(/^[a-z0-9-]{1,32}$/, 'must be 1 to 32 lower case letters, digits or "-"')
    .nullish()
    .transform((value) => value ?? 'json'),
  idempotencyKey,
});

export type NewDevice = z.infer<typeof newDevice>;
export type DeviceTypeDefinition = z.infer<typeof defineDeviceType>;

/**
 * The input, checked.
 * @throws FleetgraphError BAD_USER_INPUT that names the first field at fault, e.g. `input.labels[2].key`.
 */
export function readInput<Schema extends z.ZodType>(schema: Schema, input: unknown, path = 'input'): z.infer<Schema> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = [path, ...(issue?.path ?? [])].reduce<string>(
    (before, part) =>
      typeof part === 'number' ? `${before}[${part}]` : before === '' ? String(part) : `${before}.${String(part)}`,
    '',
  );
  throw new FleetgraphError('BAD_USER_INPUT', `${field} ${issue?.message ?? 'is wrong'}.`, { field });
}
