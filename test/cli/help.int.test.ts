import { expect, test } from 'vitest';
import { replayable } from '../../workers/projector/replay/rebuilding.js';
import { runCli } from '../world/cli.js';
import { within } from '../world/eventually.js';

test('the help of replay names every projection that can be rebuilt', async () => {
  const help = runCli(['replay', '--help'], {});
  expect(await within(help.exited, 30_000, 'the help')).toBe(0);
  // The lines are wrapped to the width of the terminal.
  const text = help.output().replaceAll(/\s+/g, ' ');
  expect(text).toContain(`--projection <name> one of ${Object.keys(replayable).join(', ')} `);
});
