/** Runs of one schedule that may go on at once; its record in the journal holds them all. */
export const RUNS_MAX = 1_000;
/** Fires that were missed and are made after all. */
export const MISFIRES_MAX = 1_000;
/** Parents that one schedule may follow, and schedules that may follow one: an entry of the journal holds them all. */
export const PARENTS_MAX = 32;
export const FOLLOWERS_MAX = 500;
