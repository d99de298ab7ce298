#!/usr/bin/env -S node --max-semi-space-size=64
// The executable of the package: TypeScript is run as it is, through tsx. The young generation of the heap is larger than
// Node's 16 MiB, because thousands of messages are in hand at once: it takes a fifth off the time of each (docs/operations.md).
import { register } from 'tsx/esm/api';

register();
await import('./fleetgraph.ts');
