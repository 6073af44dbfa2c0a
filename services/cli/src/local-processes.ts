import { type ProcessNote, readProcessNotes } from '@malabar/runtime';
import { tryConnect } from './doctor/targets.js';

/** The processes of the bus on this machine that take connections, by the notes in its data folder. */
export async function localProcesses(data: string): Promise<ProcessNote[]> {
  const notes = await readProcessNotes(data);
  const faults = await Promise.all(notes.map(({ grpcAddress }) => tryConnect(grpcAddress)));
  // A process that was killed could not take its note away.
  return notes.filter((_, at) => faults[at] === undefined);
}
