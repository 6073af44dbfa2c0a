import { AGENT_FORMATS, readAgentConfig } from '@malabar/config';
import { sleep } from '@malabar/core';
import { createLogger } from '@malabar/telemetry';
import { Command } from 'commander';
import { type Agent, startAgent } from '../agent/agent.js';
import { type AgentFlags, configOfFlags } from '../agent/flags.js';
import { settleAgent } from '../agent/settings.js';
import { durationOption } from '../client-command.js';
import type { CommandContext } from '../context.js';
import { CommandError, EXIT } from '../exit.js';
import { collect } from '../settings.js';

const FLAGS_EXAMPLES = `
It writes to a file beside the output and renames it, only if the content is another one. A file that
cannot be written, or a reload command that fails, refuses the release: the old content stays or comes
back, and \`malabar config who\` shows the reason. deploy/examples/agent.yaml says it all in a file.

Examples:
  malabar agent --config /etc/malabar/agent.yaml
  malabar agent --domain shop --subscribe /redis.conf --out /run/shop/redis.php --format php \\
    --owner root:www-data --reload 'systemctl reload php8.2-fpm' --snapshot /var/lib/malabar-agent
  malabar agent --domain shop --subscribe /redis.conf --out redis.json --format json --once`;

interface AgentOptions extends AgentFlags {
  config?: string;
  once?: boolean;
  timeout: string;
  logLevel: string;
}

/** `malabar agent`: configuration for programs without a library of ours. */
export function agentCommand(context: CommandContext): Command {
  return new Command('agent')
    .description("keep files equal to a node's values, and reload whoever reads them")
    .option('--config <file>', 'everything below, for several domains and files')
    .option('--address <host:port>', 'keepers, separated by commas (MALABAR_ADDRESS)')
    .option('--domain <domain>', 'what to follow')
    .option('--subscribe <file[/section]>', 'what of it; may be repeated', collect, [])
    .option(
      '--node <id>',
      "name of this node: sections of this name override (default: the host's)",
    )
    .option('--component <name>', 'role of the program that reads the file')
    .option('--zone <name>', 'where this machine stands')
    .option('--tag <key=value>', 'for canaries; may be repeated', collect, [])
    .option('--out <file>', 'the file to keep')
    .option('--format <format>', AGENT_FORMATS.join(', '))
    .option('--owner <user[:group]>', 'whose file it is')
    .option('--mode <bits>', 'who may read it', '0640')
    .option('--reload <command>', 'program and arguments, parted by spaces; no shell')
    .option('--reload-shell <command>', 'the same, read by sh')
    .option('--reload-timeout <duration>', 'how long it may take', '30s')
    .option('--snapshot <folder>', 'keep what is known here, to start while no keeper answers')
    .option('--once', 'write once and end')
    .option('--timeout <duration>', 'with --once: how long to wait', '10s')
    .option('--log-level <level>', 'the least that is logged', 'info')
    .addHelpText('after', FLAGS_EXAMPLES)
    .action(async (options: AgentOptions) => {
      const given = options.config
        ? readAgentConfig(options.config)
        : configOfFlags(options, context.env);
      const settings = await settleAgent(given, context.cwd);
      const { env, clock } = context;
      const log = createLogger({ level: options.logLevel, base: { service: 'agent' } });
      const stopped = options.once ? undefined : context.untilStopped();
      const agent = startAgent(settings, { env, clock, log });
      try {
        await (stopped ?? firstFiles(agent, options.timeout, context));
      } finally {
        await agent.stop();
      }
    });
}

/** Resolves when every file is written; rejects if one cannot be, or nothing comes. */
async function firstFiles(agent: Agent, timeout: string, { clock }: CommandContext): Promise<void> {
  const written = new AbortController();
  const late = sleep(clock, durationOption('--timeout', timeout), written.signal);
  const first = await Promise.race([agent.written.then(() => 'written'), late]);
  written.abort();
  if (first === 'written') return;
  throw new CommandError(
    EXIT.unreachable,
    `no keeper has given the values within ${timeout}`,
    'name its address with --address, or wait longer with --timeout',
  );
}
