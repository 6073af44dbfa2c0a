import type { config } from '@malabar/contracts';
import type { ConfigAccess } from '../config/domain.js';
import { getFiles } from '../config/files.js';
import { parseState } from '../config/state-ref.js';
import { CommandError, EXIT } from '../exit.js';

const DOMAIN = 'malabar';
const FILE = '/schedules.conf';
const KEY = 'document';

type Document = Record<string, unknown>;

/** The document of a schedule as the keeper has it. */
export async function readDocument(access: ConfigAccess, schedule: string): Promise<Document> {
  const wanted = { domain: DOMAIN, state: parseState('current'), path: FILE };
  const { files } = await getFiles(access, wanted);
  const section = files.flatMap(({ sections }) => sections).find(({ name }) => name === schedule);
  const raw = section?.entries.find(({ key }) => key === KEY)?.raw;
  if (raw !== undefined) return JSON.parse(raw) as Document;
  throw new CommandError(
    EXIT.notFound,
    `there is no schedule '${schedule}'`,
    '`malabar schedules` lists those there are',
  );
}

/** The edit that puts another document in its place. */
export function documentEdit(schedule: string, document: Document) {
  const raw = JSON.stringify(document);
  const value = { file: FILE, section: schedule, key: KEY, type: 'json', raw };
  const operation: config.Operation = { operation: { $case: 'setKey', value } };
  return { domain: DOMAIN, operations: [operation] };
}
