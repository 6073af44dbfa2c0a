import { PEOPLE_DOMAIN, USERS_FILE } from '@malabar/access';
import {
  BUS_DOMAIN,
  type DocumentsToFilesOptions,
  documentsToFiles,
  type LoadedConfig,
  peopleSections,
} from '@malabar/config';
import type { config } from '@malabar/contracts';

/** What of the configuration file goes into one domain. */
export interface FileSource {
  domain: string;
  /** The files of the domain that the configuration file speaks of, with what it says. */
  compile(loaded: LoadedConfig, options: DocumentsToFilesOptions): Promise<config.ConfigFile[]>;
  /** Whether a section of such a file is the configuration file's; others stay when it is saved. */
  owns(section: config.ConfigSection): boolean;
}

const bus: FileSource = { domain: BUS_DOMAIN, compile: documentsToFiles, owns: () => true };

/** Beside people of the file there are those who were added later, by `malabar users`. */
const people: FileSource = {
  domain: PEOPLE_DOMAIN,
  async compile(loaded, options) {
    const sections = await peopleSections(loaded, options);
    return sections ? [{ path: USERS_FILE, sections, parent: '', schema: '' }] : [];
  },
  owns: ({ entries }) => entries.some(({ key, raw }) => key === 'source' && raw === 'file'),
};

export const SOURCES: readonly FileSource[] = [bus, people];
