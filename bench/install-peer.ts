/** A peer that is not among our packages: installed on first use into the folder of its program. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** @param name of the folder in peers/. @returns where that is. */
export function installPeer(name: string): string {
  const directory = fileURLToPath(new URL(`./peers/${name}`, import.meta.url));
  if (!existsSync(`${directory}/node_modules`))
    execFileSync('npm', ['install', '--no-audit', '--no-fund', '--no-package-lock'], {
      cwd: directory,
      stdio: 'inherit',
    });
  return directory;
}
