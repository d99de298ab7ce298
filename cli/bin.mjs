#!/usr/bin/env -S node --max-semi-space-size=32
// The executable of the package. In a work tree TypeScript is run as it is, through tsx; in the image it was compiled
// (compile.mjs). The young generation of the heap is larger than Node's 16 MiB, because thousands of messages are in hand at
// once: it takes a fifth off the time of each (docs/operations.md).
import { existsSync } from 'node:fs';

if (existsSync(new URL('fleetgraph.ts', import.meta.url))) {
  const { register } = await import('tsx/esm/api');
  register();
  await import('./fleetgraph.ts');
} else {
  await import('./fleetgraph.js');
}
