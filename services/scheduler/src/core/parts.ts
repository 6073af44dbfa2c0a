import { cappedOutput, type FinalStatus, type LiveRun, OUTPUT_MAX } from './record.js';

/** Parts of the runs of one schedule that may go on at once: its record in the journal holds them all. */
export const PARTS_MAX = 10_000;

/** How a part of a run has ended. */
interface PartEnding {
  node: string;
  status: FinalStatus;
  output: string;
}

/** From now on the run has a part on each of these nodes. */
export function beginParts(run: LiveRun, nodes: readonly string[]): void {
  delete run.placing;
  run.parts = nodes.map((node) => ({ node }));
  run.total = nodes.length;
}

/** A part has ended; false if it is none that goes on. */
export function endPart(run: LiveRun, { node, status, output }: PartEnding): boolean {
  const { parts = [], total = 1 } = run;
  const at = parts.findIndex((part) => part.node === node);
  if (at < 0) return false;
  parts.splice(at, 1);
  run.endings = [...new Set([...(run.endings ?? []), status])];
  const told = cappedOutput(output, Math.floor(OUTPUT_MAX / total));
  run.output = `${run.output ?? ''}[${node}: ${status}] ${told}\n`;
  return true;
}

/** How a run has ended whose parts have ended so. */
export function statusOfParts(endings: readonly FinalStatus[]): FinalStatus {
  if (endings.includes('dead')) return 'dead';
  if (endings.includes('failed')) return 'failed';
  if (!endings.includes('discarded')) return 'done';
  // A node that has gone has not done its part; if none has, there was no run.
  return endings.includes('done') ? 'failed' : 'discarded';
}

/** How many parts go on. */
export const countParts = (runs: readonly LiveRun[]): number =>
  runs.reduce((sum, { parts }) => sum + (parts?.length ?? 0), 0);

/** The jobs of a run that go on, as far as they are known. */
export function jobsOf({ job, parts }: LiveRun): string[] {
  const jobs = parts === undefined ? [job] : parts.map((part) => part.job);
  return jobs.filter((id) => id !== undefined);
}
