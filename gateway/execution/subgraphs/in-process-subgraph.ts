/**
 * A subgraph that runs in this process: executed where it is, without HTTP, and its answer is not written and read again. It
 * trusts this gateway no more than any other: it is given the same headers, and verifies the token itself.
 */
import type { ExecuteLocally } from '../../../platform/graphql/local-execution.js';
import { parseExactJson } from '../../../platform/json/exact-json.js';
import type { OutageLog } from '../../../platform/observability/outage-log.js';
import { currentTraceparent } from '../../../platform/observability/trace-context.js';
import type { GatewayMetrics } from '../../gateway-metrics.js';
import { observeFetch } from './observe-fetch.js';
import { untilAborted } from './request-deduplication.js';
import { checkEntities, variablesText, type Subgraph, type SubgraphResponse } from './subgraph.js';
import { unavailable } from './unavailable.js';

export function createInProcessSubgraph(options: {
  readonly name: string;
  readonly execute: ExecuteLocally;
  /** Milliseconds that it has to answer. */
  readonly timeoutMs: number;
  readonly metrics: Pick<GatewayMetrics, 'fetchSeconds'>;
  /** By the names of subgraphs. */
  readonly outages: OutageLog;
  /** After what writes: what is being read is older. */
  readonly onWritten: () => void;
}): Subgraph {
  const { name, execute, timeoutMs, outages } = options;
  const seconds = options.metrics.fetchSeconds.labels({ subgraph: name });
  return {
    name,
    fetch: (request) =>
      observeFetch(request, { name, seconds }, async (ended) => {
        const { operation, context, signal } = request;
        let timer: NodeJS.Timeout | undefined;
        try {
          const traceparent = currentTraceparent();
          const answered = execute({
            query: operation.query,
            operationName: operation.operationName,
            variables: parseExactJson(`{${variablesText(request)}}`) as Record<string, unknown>,
            headers: traceparent === undefined ? context.forwarded : { ...context.forwarded, traceparent },
          });
          const late = new Promise<never>((_resolve, reject) => {
            timer = setTimeout(() => reject(new Error(`There was no answer within ${timeoutMs} ms.`)), timeoutMs);
          });
          const given: SubgraphResponse = await untilAborted(Promise.race([answered, late]), signal, () => undefined);
          const { reader } = request;
          const response = reader && given.data ? { ...given, data: reader.fromValues(given.data) } : given;
          checkEntities(request, response);
          outages.succeeded(name);
          return response;
        } catch (error) {
          if (signal?.aborted === true) throw error;
          outages.failed(name, error, { subgraph: name });
          throw unavailable(name);
        } finally {
          ended();
          clearTimeout(timer);
          if (operation.isMutation) options.onWritten();
        }
      }),
  };
}
