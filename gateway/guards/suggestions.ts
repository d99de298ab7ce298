/**
 * "Did you mean …?" tells the schema to whoever guesses at it, where introspection does not. Validation is asked not to suggest;
 * what coerces variables is not asked, so whatever is told goes through here.
 */
import type { FormatError } from '../present-error.js';

export function withoutSuggestions(format: FormatError): FormatError {
  return (formatted, error) => {
    const known = format(formatted, error);
    const message = known.message.replace(/ ?Did you mean .+?\?( |$)/s, '$1').trimEnd();
    return message === known.message ? known : { ...known, message };
  };
}
