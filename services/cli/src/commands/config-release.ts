import type { config } from '@malabar/contracts';
import type { Command } from 'commander';
import { type ClientOptions, clientCommand, countOption } from '../client-command.js';
import { type CanaryOptions, canaryRule, withCanaryOptions } from '../config/canary-rule.js';
import {
  type ConfigAccess,
  expectedRelease,
  getDomain,
  type WriteOptions,
  withConfig,
  writeCommand,
} from '../config/domain.js';
import { noteWarnings, refuseFaults } from '../config/faults.js';
import { releaseJson, releaseLine } from '../config/release.js';
import type { CommandContext } from '../context.js';
import { CommandError, EXIT } from '../exit.js';

interface PublishOptions extends WriteOptions, CanaryOptions {
  note?: string;
}

/** `malabar config publish`: makes a release of the draft. */
export function publishCommand(context: CommandContext): Command {
  return withCanaryOptions(writeCommand('publish'))
    .description('make a release of the draft: for everybody, or for a canary first')
    .argument('<domain>', 'the domain')
    .option('-m, --note <text>', 'why; kept with the release')
    .addHelpText(
      'after',
      `
Examples:
  malabar config publish shop -m 'longer timeouts'
  malabar config publish shop --canary-percent 10 --canary-tag zone=b
  malabar config publish shop --canary-nodes web-1,web-2 --expect 4`,
    )
    .action((name: string, options: PublishOptions) =>
      withConfig(options, context, async (access) => {
        const domain = await getDomain(access, name);
        if (!domain.draft) throw noDraft(name);
        const { service, timeoutMs } = access;
        const canary = canaryRule(options);
        const asked = { domain: name, operations: [], canary };
        refuseFaults((await service.validate(asked, { timeoutMs })).faults);
        const request = {
          ...asked,
          expectedRelease: expectedRelease(options, domain),
          draftRevision: domain.draft.revision,
          note: options.note ?? '',
        };
        const { release, warnings } = await service.publish(request, { timeoutMs });
        noteWarnings(context.terminal, warnings);
        printRelease(context, release, options.json);
      }),
    );
}

function noDraft(name: string): CommandError {
  const hint = `make one: malabar config set ${name} ... or malabar config import ${name} ...`;
  return new CommandError(EXIT.notFound, `domain '${name}' has no draft to publish`, hint);
}

interface PromoteOptions extends ClientOptions {
  force?: boolean;
}

/** `malabar config promote`: gives the canary's release to everybody. */
export function promoteCommand(context: CommandContext): Command {
  return clientCommand('promote')
    .description("give the canary's release to everybody; refused while a node refuses it")
    .argument('<domain>', 'the domain')
    .option('--force', 'also if nodes refuse it or a keeper cannot be asked')
    .addHelpText('after', '\nExamples:\n  malabar config promote shop')
    .action((name: string, options: PromoteOptions) =>
      endCanary(context, options, name, ({ service, timeoutMs }, canary) =>
        service.promote({ ...canary, force: options.force === true }, { timeoutMs }),
      ),
    );
}

interface NoteOptions extends ClientOptions {
  note?: string;
}

/** `malabar config abort`: takes the canary's release back. */
export function abortCommand(context: CommandContext): Command {
  return clientCommand('abort')
    .description("take the canary's release back: its nodes get what the others run")
    .argument('<domain>', 'the domain')
    .option('-m, --note <text>', 'why; kept in the audit')
    .addHelpText('after', "\nExamples:\n  malabar config abort shop -m 'web-7 refuses it'")
    .action((name: string, options: NoteOptions) =>
      endCanary(context, options, name, ({ service, timeoutMs }, canary) =>
        service.abort({ ...canary, note: options.note ?? '' }, { timeoutMs }),
      ),
    );
}

/** Ends the canary of a domain in one way or the other, and shows the release that comes of it. */
async function endCanary(
  context: CommandContext,
  options: ClientOptions,
  domain: string,
  end: (
    access: ConfigAccess,
    canary: { domain: string; release: number },
  ) => Promise<{ release: config.Release | undefined }>,
): Promise<void> {
  await withConfig(options, context, async (access) => {
    const number = canaryOf(await getDomain(access, domain));
    const { release } = await end(access, { domain, release: number });
    printRelease(context, release, options.json);
  });
}

function canaryOf({ name, canary }: config.Domain): number {
  if (canary) return canary.release;
  throw new CommandError(
    EXIT.notFound,
    `domain '${name}' has no canary`,
    `make one: malabar config publish ${name} --canary-percent 10`,
  );
}

interface RollbackOptions extends WriteOptions {
  file?: string;
  note?: string;
}

/** `malabar config rollback`: a new release with the content of an earlier one. */
export function rollbackCommand(context: CommandContext): Command {
  return writeCommand('rollback')
    .description('make a new release with the content of an earlier one')
    .argument('<domain>', 'the domain')
    .argument('<release>', 'whose content (`malabar config history` lists them)')
    .option('--file <path>', 'only this file')
    .option('-m, --note <text>', 'why; kept with the release')
    .addHelpText(
      'after',
      `
Examples:
  malabar config rollback shop 4 -m 'the new timeouts were too short'
  malabar config rollback shop 4 --file /redis.conf`,
    )
    .action((name: string, number: string, options: RollbackOptions) =>
      withConfig(options, context, async (access) => {
        const domain = await getDomain(access, name);
        const request = {
          domain: name,
          toRelease: countOption('release', number, 1, Number.MAX_SAFE_INTEGER),
          path: options.file ?? '',
          expectedRelease: expectedRelease(options, domain),
          note: options.note ?? '',
        };
        const { service, timeoutMs } = access;
        const { release } = await service.rollback(request, { timeoutMs });
        printRelease(context, release, options.json);
      }),
    );
}

function printRelease(
  { terminal }: CommandContext,
  release: config.Release | undefined,
  json = false,
): void {
  if (!release) return;
  terminal.line(json ? JSON.stringify({ release: releaseJson(release) }) : releaseLine(release));
}
