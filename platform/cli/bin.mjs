#!/usr/bin/env node
// The executable of the package: TypeScript is run as it is, through tsx.
import { register } from 'tsx/esm/api';

register();
await import('./fleetgraph.ts');
