/**
 * How many partitions a member is to hold: the same for all, the rest one each to the first by name. The shares of the
 * live members add up to the partitions, so that each partition has somebody who wants it.
 */
export function fairShare(partitions: number, live: readonly string[], member: string): number {
  // A member that the others have taken for dead meanwhile counts too: its next beat brings it back.
  const members = [...new Set([...live, member])].sort();
  const rank = members.indexOf(member);
  return Math.floor(partitions / members.length) + (rank < partitions % members.length ? 1 : 0);
}
