import type { config } from '@malabar/contracts';
import type { Command } from 'commander';
import type { CommandContext } from '../context.js';
import {
  type ConfigAccess,
  expectedRelease,
  getDomain,
  type WriteOptions,
  withConfig,
  writeCommand,
} from './domain.js';
import { noteWarnings, refuseFaults, type Sources } from './faults.js';
import { draftText, releaseJson, releaseLine } from './release.js';

/** Options of every command that changes the content of a domain. */
export interface EditOptions extends WriteOptions {
  publish?: boolean;
  note?: string;
}

/** Changes of one domain, and where their texts lie on this machine. */
export interface Edit {
  domain: string;
  operations: config.Operation[];
  sources?: Sources;
}

/** A command that edits the draft, or with --publish what is in force. */
export function editCommand(name: string): Command {
  return writeCommand(name)
    .option('--publish', 'make a release of this change alone, without the draft')
    .option('-m, --note <text>', 'why; kept with the release');
}

/** Puts the changes into the draft or publishes them; all of them or none. */
export function applyEdit(
  context: CommandContext,
  options: EditOptions,
  edit: Edit,
): Promise<void> {
  return withConfig(options, context, async (access) => {
    const domain = await getDomain(access, edit.domain);
    const way = options.publish ? publishEdit : draftEdit;
    const { json, line, warnings } = await way(access, { ...edit, domain, options });
    noteWarnings(context.terminal, warnings, edit.sources);
    context.terminal.line(options.json ? JSON.stringify(json) : line);
  });
}

interface Prepared extends Omit<Edit, 'domain'> {
  domain: config.Domain;
  options: EditOptions;
}

interface Outcome {
  json: object;
  line: string;
  warnings: config.ConfigFault[];
}

async function draftEdit(
  { service, timeoutMs }: ConfigAccess,
  { domain, operations, options }: Prepared,
): Promise<Outcome> {
  const request = {
    domain: domain.name,
    operations,
    draftRevision: domain.draft?.revision ?? 0,
    baseRelease: expectedRelease(options, domain),
  };
  const { draft, warnings } = await service.editDraft(request, { timeoutMs });
  const line = draft ? `${domain.name}: ${draftText(draft)}` : `${domain.name}: no draft`;
  return { json: { draft, warnings }, line, warnings };
}

async function publishEdit(
  { service, timeoutMs }: ConfigAccess,
  { domain, operations, options, sources }: Prepared,
): Promise<Outcome> {
  const asked = { domain: domain.name, operations, canary: undefined };
  refuseFaults((await service.validate(asked, { timeoutMs })).faults, sources);
  const request = {
    domain: domain.name,
    operations,
    expectedRelease: expectedRelease(options, domain),
    draftRevision: 0,
    canary: undefined,
    note: options.note ?? '',
  };
  const { release, warnings } = await service.publish(request, { timeoutMs });
  if (!release) return { json: { warnings }, line: '', warnings };
  return {
    json: { release: releaseJson(release), warnings },
    line: releaseLine(release),
    warnings,
  };
}
