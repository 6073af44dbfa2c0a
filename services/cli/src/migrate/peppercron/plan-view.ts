import { stringify } from 'yaml';
import { plural } from '../../format.js';
import { clockText } from '../../schedules/upcoming.js';
import { renderTable } from '../../table.js';
import type { Terminal } from '../../terminal.js';
import type { PlannedJob } from './convert.js';
import type { Fires } from './fires.js';
import type { PeppercronStore } from './store.js';

/** What becomes of a job. */
type State = 'taken' | 'warned' | 'refused';

const STATES: Record<State, string> = {
  taken: 'taken',
  warned: 'taken with warnings',
  refused: 'refused',
};

const WIDTH = 100;

function stateOf({ refusals, warnings }: PlannedJob): State {
  if (refusals.length > 0) return 'refused';
  return warnings.length > 0 ? 'warned' : 'taken';
}

/** `7 jobs: 3 taken, 2 taken with warnings, 2 refused`. */
export function summaryLine(jobs: readonly PlannedJob[]): string {
  const parts = Object.entries(STATES).map(([state, text]) => {
    return `${jobs.filter((each) => stateOf(each) === state).length} ${text}`;
  });
  return `${plural(jobs.length, 'job')}: ${parts.join(', ')}`;
}

/** `name: reason`, one for each. */
export function refusalLines(jobs: readonly PlannedJob[]): string[] {
  return jobs.flatMap(({ name, key, job, refusals }) =>
    refusals.map((reason) => `${job === undefined ? key : `job ${name}`}: ${reason}`),
  );
}

/** Tags that dispatchers must carry for what is taken over, each with the nodes that do at peppercron. */
export function tagsOf(
  jobs: readonly PlannedJob[],
  { nodes }: PeppercronStore,
): Record<string, string[]> {
  const taken = jobs.filter(({ schedules }) => schedules.length > 0);
  const tags = new Set(taken.map(({ job }) => job?.tag ?? '').filter((tag) => tag !== ''));
  return Object.fromEntries(
    [...tags].sort().map((tag) => {
      const carrying = [...nodes].filter(([, node]) => node.tags.includes(tag));
      return [tag, carrying.map(([node]) => node).sort()];
    }),
  );
}

/** Prints what each job was and will be, with its next fires at both. */
export function printPlan(terminal: Terminal, jobs: readonly PlannedJob[]): void {
  for (const each of jobs) {
    const state = stateOf(each);
    const colour = { taken: 'green', warned: 'yellow', refused: 'red' } as const;
    terminal.line(
      `${terminal.style('bold', each.name)}  ${terminal.style(colour[state], STATES[state])}`,
    );
    for (const line of linesOf(each)) terminal.line(`  ${line}`.trimEnd());
    terminal.line();
  }
}

function linesOf({ job, reading, schedules, fires, warnings, refusals }: PlannedJob): string[] {
  const old = [job?.schedule || 'no schedule', job?.timezone].filter(Boolean).join('  ');
  const [first] = schedules;
  const names = schedules.map(({ name }) => name).join(', ');
  return [
    ...(job === undefined ? [] : [`peppercron: ${old}`]),
    ...(reading === undefined ? [] : [`  read as ${reading.words}`]),
    ...(first === undefined ? [] : [`here: ${names}`, ...documentLines(first.document)]),
    ...warnings.map((text) => `warning: ${text}`),
    ...refusals.map((text) => `refused: ${text}`),
    ...(fires === undefined ? [] : fireLines(fires)),
  ];
}

function documentLines(document: object): string[] {
  const text = stringify(withoutValues(document), { lineWidth: WIDTH });
  return text
    .trimEnd()
    .split('\n')
    .map((line) => `  ${line}`);
}

function fireLines({ zone, there, here, crontab }: Fires): string[] {
  const text = (at: number | undefined): string => (at === undefined ? '-' : clockText(at, zone));
  const count = Math.max(there.length, here.length, crontab?.length ?? 0);
  const markOf = (at: number): string => {
    if (here.length > 0 && there[at] !== here[at]) return 'differs';
    return crontab !== undefined && crontab[at] !== there[at] ? 'crontab differs' : '';
  };
  const columns = ['PEPPERCRON', 'HERE', ...(crontab ? ['AS A CRONTAB'] : []), ''];
  const rows = Array.from({ length: count }, (_, at) => [
    text(there[at]),
    text(here[at]),
    ...(crontab ? [text(crontab[at])] : []),
    markOf(at),
  ]);
  return renderTable(
    columns.map((title) => ({ title })),
    rows,
  );
}

/** A document whose variables have no values: they may be passwords. */
function withoutValues(document: object): object {
  const { run } = document as { run?: { env?: object } };
  if (run?.env === undefined) return document;
  const env = Object.fromEntries(Object.keys(run.env).map((name) => [name, '******']));
  return { ...document, run: { ...run, env } };
}

/** The plan for programs; times with the offset of their zone, and no values of variables. */
export function planJson(jobs: readonly PlannedJob[], store: PeppercronStore): object {
  const { leftOut, doubts } = store;
  const count = (state: State) => jobs.filter((each) => stateOf(each) === state).length;
  return {
    jobs: jobs.map((each) => jobJson(each)),
    tags: tagsOf(jobs, store),
    notTakenOver: leftOut,
    doubts,
    summary: { taken: count('taken'), warned: count('warned'), refused: count('refused') },
  };
}

function jobJson(planned: PlannedJob): object {
  const { name, key, job, reading, schedules, fires, warnings, refusals } = planned;
  const shown = (times: readonly number[] | undefined) =>
    fires && times?.map((at) => clockText(at, fires.zone));
  return {
    job: name,
    key,
    state: stateOf(planned),
    peppercron: job && {
      schedule: job.schedule,
      timezone: job.timezone,
      reading: reading?.words,
    },
    schedules: schedules.map((each) => ({
      name: each.name,
      document: withoutValues(each.document),
    })),
    fires: fires && {
      zone: fires.zone.name,
      peppercron: shown(fires.there),
      here: shown(fires.here),
      crontab: shown(fires.crontab),
      differsAt: shown(fires.differsAtMs === undefined ? [] : [fires.differsAtMs])?.[0],
    },
    warnings,
    refusals,
  };
}
