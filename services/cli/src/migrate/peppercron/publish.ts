import { isDeepStrictEqual } from 'node:util';
import { BUS_DOMAIN, SCHEDULES_FILE } from '@malabar/config';
import type { config } from '@malabar/contracts';
import type { ConfigAccess } from '../../config/domain.js';
import { refuseFaults } from '../../config/faults.js';
import { getFiles } from '../../config/files.js';
import { parseState } from '../../config/state-ref.js';
import { CommandError, EXIT } from '../../exit.js';
import { documentEdit } from '../../schedules/document.js';
import { MOVED, type PlannedSchedule } from './convert.js';

/** What became of the schedules, by name. */
export interface Published {
  added: string[];
  changed: string[];
  /** They are here already; also those that somebody has paused or resumed meanwhile. */
  same: string[];
  /** Undefined if there was nothing to do. */
  release?: config.Release;
}

/**
 * Publishes schedules as one release of the bus's domain, made from the one that is in force now: whoever
 * is first wins, and the other one hears of it. Overwrites another schedule of the same name only with
 * `replace`.
 */
export async function publishSchedules(
  access: ConfigAccess,
  schedules: readonly PlannedSchedule[],
  { replace }: { replace: boolean },
): Promise<Published> {
  const { service, timeoutMs } = access;
  const state = parseState('current');
  const { files, release } = await getFiles(access, { domain: BUS_DOMAIN, state });
  const here = documentsOf(files);
  const fates = schedules.map((each) => ({ ...each, fate: fateOf(each, here.get(each.name)) }));
  const of = (fate: Fate) => fates.filter((each) => each.fate === fate);
  const names = (list: readonly PlannedSchedule[]) => list.map(({ name }) => name);
  const others = of('other');
  if (others.length > 0 && !replace) throw inTheWay(names(others));
  const changed = fates.filter(({ fate }) => fate === 'paused' || fate === 'other');
  const published = { added: names(of('new')), changed: names(changed), same: names(of('same')) };
  const operations = [...of('new'), ...changed].flatMap(
    ({ name, document }) => documentEdit(name, document).operations,
  );
  if (operations.length === 0) return published;
  const asked = { domain: BUS_DOMAIN, operations, canary: undefined };
  refuseFaults((await service.validate(asked, { timeoutMs })).faults);
  const request = { ...asked, expectedRelease: release, draftRevision: 0, note: 'from peppercron' };
  const answer = await service.publish(request, { timeoutMs });
  return { ...published, release: answer.release };
}

/** `paused`: it only waits for somebody to enable it, as is done now. */
type Fate = 'new' | 'same' | 'paused' | 'other';

function fateOf({ document }: PlannedSchedule, here: Record<string, unknown> | undefined): Fate {
  if (here === undefined) return 'new';
  const { paused, enabled: _, ...rest } = here;
  const { paused: ours, ...own } = document;
  if (!isDeepStrictEqual(rest, own)) return 'other';
  return paused === MOVED && ours !== MOVED ? 'paused' : 'same';
}

function documentsOf(files: readonly config.ConfigFile[]): Map<string, Record<string, unknown>> {
  const sections = files.find(({ path }) => path === SCHEDULES_FILE)?.sections ?? [];
  return new Map(
    sections.flatMap(({ name, entries }) => {
      const raw = entries.find(({ key }) => key === 'document')?.raw;
      return raw === undefined ? [] : [[name, JSON.parse(raw)]];
    }),
  );
}

function inTheWay(names: readonly string[]): CommandError {
  return new CommandError(
    EXIT.refused,
    `here already with another content: ${names.join(', ')}`,
    'nothing was published; --replace overwrites them, --rename gives another name',
  );
}
