import type { config } from '@malabar/contracts';
import { FaultsError } from '../exit.js';
import type { Terminal } from '../terminal.js';

/** Where the texts of an import lie on this machine, by the path that they have in the domain. */
export type Sources = ReadonlyMap<string, string>;

/** `conf/redis.conf:12: [web-1] timeout: "yes" is not an int`. */
export function faultLine(fault: config.ConfigFault, sources: Sources = new Map()): string {
  const file = sources.get(fault.file) ?? fault.file;
  const place = fault.line > 0 ? `${file}:${fault.line}` : file;
  const section = fault.section === '' ? '' : `[${fault.section}]`;
  const key = [section, fault.key].filter(Boolean).join(' ');
  return [place, key, fault.message].filter(Boolean).join(': ');
}

/** Ends the command with a line for each fault, if there is one. */
export function refuseFaults(faults: readonly config.ConfigFault[], sources?: Sources): void {
  if (faults.length > 0) throw new FaultsError(faults.map((fault) => faultLine(fault, sources)));
}

/** What is questionable, on stderr. */
export function noteWarnings(
  terminal: Terminal,
  warnings: readonly config.ConfigFault[],
  sources?: Sources,
): void {
  for (const warning of warnings) terminal.note(`warning: ${faultLine(warning, sources)}`);
}
