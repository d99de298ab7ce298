/**
 * The order of the test files: kinds that take long first, so that no worker is left with a long one when the others have
 * nothing to do any more. Where the runner knows how long files took the last time it goes by that within a kind.
 */
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const kinds = ['.e2e.', '.chaos.', '.int.', '.unit.'] as const;

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const kindOf = ({ moduleId }: TestSpecification): number => kinds.findIndex((kind) => moduleId.includes(kind));
    return sorted.toSorted((one, other) => kindOf(one) - kindOf(other));
  }
}
