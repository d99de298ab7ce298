import { StartupError } from '../platform/errors.js';

/** Calls the GraphQL API as any front end would. */
export interface ApiClient {
  /** The data of one operation. @throws Error with the first message when the API answers with errors. */
  request<Data>(query: string, variables?: Readonly<Record<string, unknown>>): Promise<Data>;
}

/** A client of the gateway at `url` (its base, without path). */
export function createApiClient(options: { url: string; token: string }): ApiClient {
  return {
    async request<Data>(query: string, variables: Readonly<Record<string, unknown>> = {}): Promise<Data> {
      let response: Response;
      try {
        response = await fetch(`${options.url}/graphql`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization: `Bearer ${options.token}` },
          body: JSON.stringify({ query, variables }),
          signal: AbortSignal.timeout(30_000),
        });
      } catch (error) {
        throw new StartupError(
          `There is no gateway at ${options.url}. Start one with "npm start", or name it with --gateway.`,
          { cause: error },
        );
      }
      const body = (await response.json()) as { data?: Data | null; errors?: { message: string }[] };
      if (body.errors?.[0] || body.data === undefined || body.data === null) {
        throw new Error(`The API refused: ${body.errors?.[0]?.message ?? `HTTP status ${response.status}`}`);
      }
      return body.data;
    },
  };
}
