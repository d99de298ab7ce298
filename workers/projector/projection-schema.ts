/** Where a projection is written: the live one, or one that is rebuilt beside it (replay/). */
export type ProjectionSchema = 'projections' | 'replay';

/** Advisory lock: shared by who applies events, exclusive for a replay that switches over. */
export const replayLock = 72_707_404;
