/** The program of a planning thread: builds the supergraphs that it is given, and plans one operation for each message. */
import { GraphQLError, parse } from 'graphql';
import { parentPort } from 'node:worker_threads';
import { messageOf } from '../../../platform/errors.js';
import { planOperation } from '../plan-operation.js';
import { isPlanningTimeout } from '../planning-deadline.js';
import { buildSupergraph, type Supergraph } from '../supergraph.js';
import type { PlanningReply, PlanningRequest } from './planning-thread.js';

const supergraphs: (Supergraph | undefined)[] = [];

parentPort?.on('message', (request: PlanningRequest) => parentPort?.postMessage(replyTo(request)));

function replyTo({ slot, supergraphSdl, text, operationName, overrides, timeoutMs }: PlanningRequest): PlanningReply {
  try {
    if (supergraphSdl !== undefined) supergraphs[slot] = buildSupergraph(supergraphSdl, timeoutMs);
    const supergraph = supergraphs[slot];
    if (!supergraph) throw new Error(`The planning thread has no supergraph in slot ${slot}.`);
    const document = parse(text, { noLocation: true });
    return { planned: planOperation(supergraph, document, operationName, overrides) };
  } catch (error) {
    const known = error instanceof GraphQLError ? error : undefined;
    return {
      error: {
        message: messageOf(error),
        extensions: known?.extensions,
        isTimeout: isPlanningTimeout(error),
      },
    };
  }
}
