import { describeEventBusContract } from '../contract.js';
import { createPostgresBusWorld } from './postgres-world.js';

describeEventBusContract('PostgreSQL', () => createPostgresBusWorld());
