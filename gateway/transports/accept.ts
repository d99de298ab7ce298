/** The `Accept` header of a request (RFC 9110, section 12.5.1). */

/** One of the media ranges that a client takes. */
export interface MediaRange {
  /** Type and subtype, in lower case. */
  readonly type: string;
  /** By name in lower case, quotes taken off. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** What the client takes, as it prefers it; what it refuses with `q=0` is not among it. */
export function mediaRangesOf(accept: string | undefined): readonly MediaRange[] {
  return (accept ?? '')
    .split(',')
    .map((text) => {
      const [type = '', ...rest] = text.split(';').map((part) => part.trim());
      const parameters = new Map(
        rest.map((parameter) => {
          const [name = '', value = ''] = parameter.split('=', 2);
          return [name.trim().toLowerCase(), value.trim().replace(/^"(.*)"$/, '$1')];
        }),
      );
      return { type: type.toLowerCase(), parameters, quality: Number(parameters.get('q') ?? 1) };
    })
    .filter(({ type, quality }) => type !== '' && quality > 0)
    .sort((one, other) => other.quality - one.quality);
}
