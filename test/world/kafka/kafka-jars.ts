/** The jars of Apache Kafka, from Maven Central. Needs Java 17 or later and Maven. */
import { execFile, spawnSync } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cacheDirectory } from '../real-servers.js';

const pom = fileURLToPath(new URL('./pom.xml', import.meta.url));
const directory = cacheDirectory('kafka');
const resolved = join(
  directory,
  `${createHash('sha256').update(readFileSync(pom)).digest('hex').slice(0, 12)}.classpath`,
);

/** Java's class path with the broker; undefined when it was not resolved yet, or its jars are gone. */
export function findKafkaJars(): string | undefined {
  if (!existsSync(resolved)) return undefined;
  const classpath = readFileSync(resolved, 'utf8').trim();
  return classpath.split(delimiter).every((jar) => existsSync(jar)) ? classpath : undefined;
}

/** Resolves the jars unless they are there. Does nothing without Java or Maven. */
export async function resolveKafkaJars(say: (line: string) => void): Promise<void> {
  if (findKafkaJars() !== undefined) return;
  if (spawnSync('java', ['-version']).status !== 0 || spawnSync('mvn', ['--version']).status !== 0) return;
  say('resolving Apache Kafka from Maven Central (once)');
  await mkdir(directory, { recursive: true });
  const output = join(directory, `${randomUUID()}.classpath`);
  await promisify(execFile)('mvn', [
    ...['--batch-mode', '--quiet', '--file', pom],
    ...['dependency:build-classpath', `-Dmdep.outputFile=${output}`],
  ]);
  await rename(output, resolved);
}
