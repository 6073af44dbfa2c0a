import type { config } from '@malabar/contracts';

/** Where a fault lies; what is left out does not apply. */
export interface Place {
  file: string;
  section?: string;
  key?: string;
  /** Of an imported text. */
  line?: number;
}

export function faultAt(place: Place, message: string): config.ConfigFault {
  return { section: '', key: '', line: 0, ...place, message };
}
