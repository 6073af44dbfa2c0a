import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { zoneOf } from '@malabar/schedule';
import type { Command } from 'commander';
import { type ClientOptions, clientCommand } from '../client-command.js';
import { withConfig } from '../config/domain.js';
import { releaseJson, releaseLine } from '../config/release.js';
import type { CommandContext } from '../context.js';
import { CommandError, EXIT, FaultsError } from '../exit.js';
import { plural } from '../format.js';
import { type EtcdOptions, etcdOptions, withEtcd } from '../migrate/etcd-source.js';
import {
  type ConvertOptions,
  convert,
  type PlannedJob,
  type Replicas,
} from '../migrate/peppercron/convert.js';
import { fragmentOf } from '../migrate/peppercron/fragment.js';
import {
  planJson,
  printPlan,
  refusalLines,
  summaryLine,
  tagsOf,
} from '../migrate/peppercron/plan-view.js';
import { type Published, publishSchedules } from '../migrate/peppercron/publish.js';
import { type PeppercronStore, PREFIX, readPeppercron } from '../migrate/peppercron/store.js';
import { collect } from '../settings.js';

interface PeppercronOptions extends ClientOptions, EtcdOptions {
  job: string[];
  zone?: string;
  crontab: string[];
  replicas?: string;
  keepRetries?: boolean;
  rename: string[];
  yaml?: string;
  apply?: boolean;
  enable?: boolean;
  replace?: boolean;
  skipRefused?: boolean;
}

const EXAMPLES = `
Without --apply nothing is written but the file of --yaml: each job is shown as peppercron reads it and as
it would be here, with the next five fires of both. Nothing is ever written to peppercron's etcd. What cannot be
taken over is refused by name, and then nothing is published, unless --skip-refused leaves it out. The schedules
come paused; docs/migrate-peppercron.md says how to move without firing twice.

Examples:
  malabar migrate peppercron --etcd http://10.0.0.7:2379 --zone Asia/Shanghai
  malabar migrate peppercron --etcd 10.0.0.7:2379 --job 17 --crontab 17 --rename 17=close-orders
  malabar migrate peppercron --etcd 10.0.0.7:2379 --yaml schedules.yaml
  malabar migrate peppercron --etcd 10.0.0.7:2379 --apply
  malabar migrate peppercron --etcd 10.0.0.7:2379 --apply --enable      # once peppercron is stopped`;

/** `malabar migrate peppercron`: its jobs as schedules. */
export function peppercronCommand(context: CommandContext): Command {
  return etcdOptions(clientCommand('peppercron'))
    .description("turn the jobs in peppercron's etcd into schedules; a dry run unless --apply")
    .option('--apply', 'publish them, as one release')
    .option('--enable', 'not paused: they fire at once')
    .option('--replace', 'overwrite schedules of the same names')
    .option('--skip-refused', 'leave out what is refused')
    .option('--job <job>', 'only this one; may be repeated', collect, [])
    .option('--zone <zone>', "time zone of peppercron's machines, for jobs that name none")
    .option('--crontab <job>', 'its five fields begin with the minute; repeatable', collect, [])
    .option('--replicas <how>', 'concurrency above 1: `once`, as many `copies`, or on all `nodes`')
    .option('--keep-retries', 'retries count, which peppercron never read')
    .option('--rename <job=schedule>', 'another name for a job; may be repeated', collect, [])
    .option('--yaml <file>', 'write them as a piece of malabar.yaml, with all values')
    .addHelpText('after', EXAMPLES)
    .action((options: PeppercronOptions) => migrate(context, options));
}

async function migrate(context: CommandContext, options: PeppercronOptions): Promise<void> {
  const settings = settingsOf(context, options);
  const entries = await withEtcd(context, options, (client) => client.list(PREFIX));
  const store = readPeppercron(entries.entries);
  checkNames(store, options);
  const all = convert(store, settings);
  const jobs = all.filter(({ name }) => options.job.length === 0 || options.job.includes(name));
  if (!options.json) show(context, { jobs, store, options });
  const refusals = refusalLines(jobs);
  if (!options.apply && options.json) context.terminal.line(JSON.stringify(planJson(jobs, store)));
  if (refusals.length > 0 && !options.skipRefused) throw new FaultsError(refusals);
  for (const line of refusals) context.terminal.note(`left out: ${line}`);
  if (options.yaml !== undefined) writeFragment(context, options.yaml, jobs);
  if (options.apply) await apply(context, options, jobs);
}

function settingsOf({ clock }: CommandContext, options: PeppercronOptions): ConvertOptions {
  const { zone, replicas, crontab, rename, enable = false, keepRetries = false } = options;
  if (replicas !== undefined && !isReplicas(replicas))
    throw new CommandError(
      EXIT.usage,
      `--replicas: '${replicas}' is not one of ${REPLICAS.join(', ')}`,
    );
  if (options.replace && !options.apply)
    throw new CommandError(EXIT.usage, '--replace means nothing without --apply');
  if (zone !== undefined) checkZone(zone);
  const names = new Map(rename.map(renameOf));
  const nowMs = clock.now();
  return { zone, replicas, crontab: new Set(crontab), names, enable, keepRetries, nowMs };
}

const REPLICAS: readonly string[] = ['once', 'copies', 'nodes'] satisfies Replicas[];

const isReplicas = (text: string): text is Replicas => REPLICAS.includes(text);

function checkZone(zone: string): void {
  try {
    zoneOf(zone);
  } catch (error) {
    throw new CommandError(EXIT.usage, `--zone: ${(error as Error).message}`);
  }
}

function renameOf(text: string): [string, string] {
  const at = text.lastIndexOf('=');
  if (at > 0 && at < text.length - 1) return [text.slice(0, at), text.slice(at + 1)];
  throw new CommandError(EXIT.usage, `--rename: '${text}' is not of the form job=schedule`);
}

/** What the options name must be there: an option that does nothing would be a surprise later. */
function checkNames({ jobs }: PeppercronStore, { job, crontab, rename }: PeppercronOptions): void {
  if (jobs.length === 0) {
    const hint = `nothing lies below ${PREFIX}jobs/ in this etcd`;
    throw new CommandError(EXIT.notFound, 'there are no jobs of peppercron here', hint);
  }
  const known = jobs.map(({ name }) => name);
  const named = {
    '--job': job,
    '--crontab': crontab,
    '--rename': rename.map((one) => renameOf(one)[0]),
  };
  for (const [option, names] of Object.entries(named)) {
    const missing = names.find((name) => !known.includes(name));
    if (missing !== undefined)
      throw new CommandError(EXIT.notFound, `${option}: peppercron has no job '${missing}'`);
  }
  for (const name of crontab) {
    const { schedule = '' } = jobs.find((each) => each.name === name)?.job ?? {};
    if (schedule.trim().split(/\s+/).length !== 5)
      throw new CommandError(
        EXIT.usage,
        `--crontab: '${schedule}' of job '${name}' has not five fields`,
      );
  }
}

interface Shown {
  jobs: readonly PlannedJob[];
  store: PeppercronStore;
  options: PeppercronOptions;
}

function show({ terminal }: CommandContext, { jobs, store, options }: Shown): void {
  if (!options.apply) printPlan(terminal, jobs);
  for (const doubt of store.doubts) terminal.note(`warning: ${doubt}`);
  for (const what of store.leftOut) terminal.note(`not taken over: ${what}`);
  for (const [tag, nodes] of Object.entries(tagsOf(jobs, store)))
    terminal.note(`dispatcher.tags: ${tag}, at peppercron on ${nodes.join(', ') || 'no node'}`);
  const alive = [...store.nodes].filter(([, { isAlive }]) => isAlive).map(([node]) => node);
  if (options.enable && alive.length > 0)
    terminal.note(`warning: peppercron runs on ${alive.join(', ')}: jobs that are here fire twice`);
  terminal.line(summaryLine(jobs));
}

function writeFragment(
  { cwd, terminal }: CommandContext,
  file: string,
  jobs: readonly PlannedJob[],
) {
  try {
    // Variables stand in it, and they may be passwords.
    writeFileSync(resolve(cwd, file), fragmentOf(jobs), { mode: 0o600, flag: 'wx' });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const reason = code === 'EEXIST' ? 'there is such a file already' : code;
    throw new CommandError(EXIT.usage, `--yaml: cannot write ${file}: ${reason}`);
  }
  const count = jobs.flatMap(({ schedules }) => schedules).length;
  terminal.note(`${plural(count, 'schedule')} in ${file}`);
}

function apply(
  context: CommandContext,
  options: PeppercronOptions,
  jobs: readonly PlannedJob[],
): Promise<void> {
  const schedules = jobs.flatMap((each) => each.schedules);
  return withConfig(options, context, async (access) => {
    const replace = options.replace ?? false;
    const published = await publishSchedules(access, schedules, { replace });
    const { terminal } = context;
    if (options.json) terminal.line(JSON.stringify(publishedJson(published)));
    else for (const line of publishedLines(published)) terminal.line(line);
    if (published.release !== undefined)
      terminal.note('a malabar.yaml with `schedules:` of its own takes them away when it is saved');
  });
}

function publishedJson({ release, ...rest }: Published): object {
  return { ...rest, release: release && releaseJson(release) };
}

function publishedLines({ added, changed, same, release }: Published): string[] {
  const lines = Object.entries({ new: added, changed, 'here already': same })
    .filter(([, names]) => names.length > 0)
    .map(([what, names]) => `${what}: ${names.join(', ')}`);
  return release === undefined ? lines : [...lines, releaseLine(release)];
}
