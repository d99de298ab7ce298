/**
 * A client that begins, or comes again: it is given what is, or what it has missed, page by page, while what happens is kept for
 * it; then it takes part. It is at its own pace, and holds up nobody.
 */
import type { Member } from './member.js';
import type { Pages } from './pages.js';

/**
 * @param begun resolves when what happens is followed: nothing may be read before
 * @throws what a page could not be read for
 */
export async function catchUp(member: Member, begun: Promise<void> | undefined, pages: () => Pages): Promise<void> {
  await begun;
  let page: string | undefined;
  for (let since = member.cursor; !member.hasEnded;) {
    const { payloads, mark } = await pages().read({ context: member.context, since, page });
    for (const payload of payloads) await member.catchUp(payload);
    page = mark.next;
    if (page !== undefined) continue;
    if (mark.ended) {
      member.goLive(undefined);
      member.end({ kind: 'complete' });
    } else if (member.hasGap) {
      since = mark.cursor;
      member.closeGap();
    } else {
      member.cursor ??= mark.cursor;
      member.goLive(mark.position === undefined ? undefined : BigInt(mark.position));
      return;
    }
  }
}
