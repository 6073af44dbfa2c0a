import { commandSchema } from './command.js';
import { fileSchema } from './documents.js';
import { type Entry, outline } from './outline.js';
import { variableOf } from './overrides.js';
import { rabbitmqSchema } from './rabbitmq.js';
import { settingsSchema } from './settings.js';
import { fastcgiSchema, httpSchema } from './target.js';

const HEAD = `# Configuration

Generated from the schema in libs/config; a test keeps it true. Rewrite it with \`npm run docs:config\`.

One YAML file, \`malabar.yaml\`, holds the settings of a process and the documents of the whole bus (systems, queues,
topics, schedules, sources, people), which the keeper keeps ([below](#the-file-and-the-keeper)). [deploy/examples](../deploy/examples) has files to start from. \`malabar config check\` names every fault as
\`file:line:column: key: reason\`; \`malabar config show\` prints what is in force.

- **Order.** Defaults, then the file, then the environment, then flags (\`--set ingest.redis.listen=127.0.0.1:0\`): the
  later one wins. Documents have no variables and no flags. An empty variable counts as not set; an unknown \`MALABAR_*\`
  variable is a fault. (\`MALABAR_ADDRESS\`, \`MALABAR_PASSWORD\`, \`MALABAR_TOKEN\`,
  \`MALABAR_ETCD_USER\` and \`MALABAR_ETCD_PASSWORD\` belong to the \`malabar\` command.)
- **Keys** are snake_case, and only that. An unknown key is a fault, and so is one that a later version brings.
- **Durations** have a unit: \`250ms\`, \`30s\`, \`5m\`, \`2h\`, \`7d\`. **Sizes** are bytes or \`64KiB\`, \`1MiB\`, \`2GiB\`,
  \`1TiB\`. **Counts** may have underscores: \`5_000_000\`.
- **Addresses** are \`host:port\` or \`[::1]:port\`; to listen, port 0 lets the system choose.
- **Secrets** are text, \`{ secret: file:/path }\` or \`{ secret: env:NAME }\`. A password may also be the hash that
  \`malabar config hash-password\` prints. No log and no message shows them.
- **Required** keys are so where the mapping that holds them is written: \`tls: {}\` needs \`cert\`, no \`tls\` needs nothing.
- **Names** of systems, queues and topics have 1 to 128 letters, digits, \`_\`, \`.\` or \`-\`.
- **Hot or not.** Saving the file changes systems, queues, topics, schedules, sources and people at once. Settings of a process need a
  restart; the log says which ones. A file with a fault changes nothing.
`;

const SCHEDULES = `## Schedules

When jobs are pushed by the clock, or after others have run: [schedules.md](schedules.md) tells the whole story.
`;

const SOURCES = `## Sources

Where jobs come from by themselves: messages of RabbitMQ. [rabbitmq.md](rabbitmq.md) tells the whole story.
`;

const TARGETS = `## Targets

| short form | stands for |
| --- | --- |
| \`fastcgi://unix:/run/php/php-fpm.sock/srv/shop/consume.php\` | a socket path up to the first \`.sock\`, then the script |
| \`fastcgi://127.0.0.1:9000/srv/shop/consume.php\` | php-fpm over TCP, then the script |
| \`https://sms.internal/jobs\` | \`{ http: { url: ... } }\`; also \`http://\` |
| \`grpc\` | workers that connect to the dispatcher |
| \`pull\` | consumers that fetch: RPOP, GETJOB |
| \`{ command: [php, /srv/shop/work.php] }\` | \`{ command: { argv: [php, /srv/shop/work.php] } }\`: [a program](commands.md) |
| \`{ rabbitmq: { url: ..., user: ..., password: ..., exchange: ... } }\` | an exchange of [RabbitMQ](rabbitmq.md); there is no shorter form |

The mappings below say the same with more settings, e.g. \`target: { fastcgi: { address: ..., script: ... } }\`. The
concurrency of a topic cannot be above the connections of its target: a request without a connection would wait
while its time runs.
`;

const PEOPLE = `## People

Who may do what. People can also be kept with \`malabar users\`; those of the file are changed in the file only. The last
admin (\`'*': admin\`) cannot lose that right by mistake: make another one before.
`;

const KEEPER = `## The file and the keeper

The documents are releases of the keeper's domains \`malabar\` and \`malabar.people\` like any other configuration
([keeper.md](keeper.md)), with history, diff, canary and rollback. The file of a keeper is one author of them, by the
name of \`file\`:

- It owns the documents whose key it has, as a whole: a file without \`queues\` leaves the queues to others.
- What is saved is published at once if it says something else than before. What others have changed since then, the
  file replaces.
- As long as the file says what it said, nothing is published, also not by a restart: what others change stays. The log
  says so when a keeper starts: \`the file is not what is in force: release 7 by ann came after it\`.
- Keepers on etcd may each have a copy. Equal copies are one release. At a start a copy that is older than what another
  keeper has published counts as forgotten; saving it again means it.

| file of domain \`malabar\` | section | keys |
| --- | --- | --- |
| \`/queues.conf\` | the queue | \`document\`: what stands under the queue's name in malabar.yaml, as JSON; keys of type \`secret\` of any name, to which the document refers as \`{"secret": "keeper:<key>"}\` |
| \`/schedules.conf\` | the schedule | the same for what stands under the schedule's name |
| \`/sources.conf\` | the source | the same for what stands under the source's name |
| \`/systems.conf\` | the system | \`owner\`, \`description\` |

A password that is set as plain text becomes its hash before it is kept. Secrets do not stand in a document, which
everybody who may see the queue may read. By hand, in one release or, without \`--publish\`, in a draft first:

\`\`\`sh
malabar config set malabar /queues.conf order_paid document '{"topics": {"ship": {"target": "grpc"}}}' --publish
malabar config diff malabar 6 7
malabar config rollback malabar 6
\`\`\`

Every process keeps what it runs in \`<data>/snapshot\`, encrypted under \`grpc.token\` if there is one, and starts from it
while no keeper answers; \`malabar doctor\` says so.
`;

/** docs/config.md. */
export function configReference(): string {
  const entries = outline(fileSchema);
  const documents = entries.filter(({ path }) => ['systems', 'queues'].includes(path[0] ?? ''));
  const schedules = entries.filter(({ path }) => path[0] === 'schedules');
  const sources = entries.filter(({ path }) => path[0] === 'sources');
  const people = entries.filter(({ path }) => path[0] === 'people');
  const later = entries.filter((entry) => entry.later).map(({ path }) => `\`${path.join('.')}\``);
  return [
    HEAD,
    `## Settings of a process\n\n${settingsTable(outline(settingsSchema))}\n`,
    `## Systems, queues and topics\n\n${table(documents.filter((entry) => !entry.later))}\n`,
    `${SCHEDULES}\n${table(schedules)}\n`,
    `${SOURCES}\n${table(sources)}\n`,
    TARGETS,
    `### target.fastcgi\n\n${table(outline(fastcgiSchema))}\n`,
    `### target.http\n\n${table(outline(httpSchema))}\n`,
    `### target.command\n\n${table(outline(commandSchema))}\n`,
    `### target.rabbitmq\n\n${table(outline(rabbitmqSchema))}\n`,
    `${PEOPLE}\n${table(people)}\n`,
    KEEPER,
    `## Not supported yet\n\nRefused with that message: ${later.join(', ')}.\n`,
  ].join('\n');
}

function settingsTable(entries: readonly Entry[]): string {
  const rows = entries.map((entry) => [...cells(entry), `\`${variableOf(entry.path)}\``]);
  return lines([['key', 'value', 'default', 'meaning', 'variable'], ...rows]);
}

function table(entries: readonly Entry[]): string {
  return lines([['key', 'value', 'default', 'meaning'], ...entries.map(cells)]);
}

function cells({ path, type, about, fallback, required }: Entry): string[] {
  return [`\`${path.join('.')}\``, type, required ? 'required' : shown(fallback), about];
}

function shown(fallback: unknown): string {
  if (fallback === undefined) return '';
  return `\`${Array.isArray(fallback) ? fallback.join(', ') : String(fallback)}\``;
}

function lines([head, ...rows]: string[][]): string {
  const line = (row: readonly string[] = []): string => `| ${row.join(' | ')} |`;
  return [line(head), line(head?.map(() => '---')), ...rows.map(line)].join('\n');
}
