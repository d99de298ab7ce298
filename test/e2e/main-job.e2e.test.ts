import { startPlatform } from '../world/platform.js';
import { describeMainJob } from './main-job.js';

describeMainJob('everything in one process', () => startPlatform());
