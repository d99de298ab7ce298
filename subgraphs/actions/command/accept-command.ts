/** Whether a device of a type takes a command: its name, and its parameters by the schema of the type. */
import { createParametersCheck, type CommandDefinition } from '../../../backbone/devices/command-schema.js';
import type { Json } from '../../../platform/database/storable.js';

/** Why a command is not for the devices of a type. */
export interface CommandFault {
  /** The field of the input that is at fault, e.g. `input.parameters.celsius`. */
  readonly field: string;
  readonly message: string;
}

export type FindCommandFault = (
  type: { readonly typeId: string; readonly commands: readonly CommandDefinition[] },
  command: { readonly name: string; readonly parameters: Json },
) => CommandFault | undefined;

/** Makes the check. It remembers compiled schemas: make one for each process. */
export function createCommandCheck(): FindCommandFault {
  const parametersFault = createParametersCheck();
  return ({ typeId, commands }, { name, parameters }) => {
    if (commands.length === 0) return undefined;
    const definition = commands.find((command) => command.name === name);
    if (definition === undefined) {
      const names = commands.map((command) => `"${command.name}"`).join(', ');
      return {
        field: 'input.name',
        message: `Devices of the type "${typeId}" take no command "${name}". They take ${names}.`,
      };
    }
    if (definition.parametersSchema === undefined) return undefined;
    const found = parametersFault(definition.parametersSchema, parameters);
    if (found === undefined) return undefined;
    const field = ['input.parameters', found.path].join(found.path === '' || found.path.startsWith('[') ? '' : '.');
    return {
      field,
      message: `${field} ${found.fault}: the type "${typeId}" of the device says what parameters of "${name}" must be.`,
    };
  };
}
