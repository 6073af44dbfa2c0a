import type * as z from 'zod';
import { type CommandDocument, commandSchema } from './command.js';
import { faultsOf } from './faults.js';
import { type RabbitmqDocument, rabbitmqSchema } from './rabbitmq.js';
import {
  count,
  duration,
  type Field,
  named,
  oneOf,
  onOff,
  scalar,
  secret,
  section,
  size,
} from './schema.js';
import type { Secret } from './secret.js';
import { suggestion } from './suggestion.js';
import { parseAddress, quoted } from './units.js';

/** php-fpm, as the file says it; the topic fills in `connections`. */
export interface FastcgiDocument {
  address: string;
  script: string;
  connections?: number;
  connectTimeoutMs: number;
  idleTimeoutMs: number;
  requestsPerConnection: number;
  ping: boolean;
}

/** An HTTP endpoint, as the file says it; the topic fills in `connections`. */
export interface HttpDocument {
  url: string;
  headers: Record<string, Secret>;
  format: 'raw' | 'pepperbus';
  connections?: number;
  connectTimeoutMs: number;
  responseBytes: number;
  ping: boolean;
}

export type TargetDocument =
  | { kind: 'fastcgi'; fastcgi: FastcgiDocument }
  | { kind: 'http'; http: HttpDocument }
  | { kind: 'command'; command: CommandDocument }
  | { kind: 'rabbitmq'; rabbitmq: RabbitmqDocument }
  | { kind: 'grpc' }
  | { kind: 'pull' };

const fastcgiAddress = scalar('`unix:/path` or host:port', (value) => {
  if (typeof value === 'string' && value.startsWith('unix:')) {
    if (/^unix:\/[^\0]{0,106}$/.test(value)) return value;
    throw new TypeError(`${quoted(value)} is not unix: and an absolute path of at most 107 bytes`);
  }
  return parseAddress(value, 1);
});

const script = scalar('absolute path', (value) => {
  if (typeof value === 'string' && /^\/[^\0]+$/.test(value)) return value;
  throw new TypeError(`${quoted(value)} is not an absolute path`);
});

const url = scalar('URL', (value) => {
  const parsed = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined;
  if (parsed?.username || parsed?.password) {
    throw new TypeError(
      'a URL shows its password in every log; use headers: { authorization: ...}',
    );
  }
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol)) {
    throw new TypeError(`${quoted(value)} is not an http:// or https:// URL`);
  }
  if (parsed.hash !== '') throw new TypeError(`${quoted(value)} has a # part, which is never sent`);
  return value as string;
});

const ping = onOff
  .prefault(false)
  .describe("Wait for the SDK's good ping, which names this topic, before the first job.");

/** The object form `target: { fastcgi: ... }`. */
export const fastcgiSchema = section({
  address: fastcgiAddress.describe('Where php-fpm listens.'),
  script: script.describe('SCRIPT_FILENAME: the script as php-fpm sees it.'),
  connections: count(1)
    .optional()
    .describe(
      'Connections held to this address, each one a php-fpm child; the concurrency if not given.',
    ),
  connectTimeoutMs: duration.prefault('1s').describe('How long a connection may take.'),
  idleTimeoutMs: duration
    .prefault('10s')
    .describe('An idle connection gives its php-fpm child back after this.'),
  requestsPerConnection: count(1)
    .prefault(500)
    .describe("Requests on one connection; 1 for no keep-alive; at most fpm's pm.max_requests."),
  ping,
}) as Field<FastcgiDocument>;

/** The object form `target: { http: ... }`. */
export const httpSchema = section({
  url: url.describe('Where each job is posted.'),
  headers: named(
    'header',
    secret.describe('Sent with every request; may be { secret: file:/path }.') as Field<Secret>,
  ).prefault({}),
  format: oneOf('raw', 'pepperbus')
    .prefault('raw')
    .describe('`raw` posts the body and goes by the status, `pepperbus` posts the SDK form.'),
  connections: count(1)
    .optional()
    .describe('Connections held to this host; the concurrency if not given.'),
  connectTimeoutMs: duration.prefault('3s').describe('How long a connection may take.'),
  responseBytes: size
    .prefault('1MiB')
    .describe('The answer is read up to here; a longer one is a failure.'),
  ping,
}) as Field<HttpDocument>;

// Set by the client itself for every request.
const OWN_HEADERS = ['connection', 'content-length', 'host', 'transfer-encoding'];
const KINDS = ['fastcgi', 'http', 'command', 'rabbitmq', 'grpc', 'pull'];

/** Where a topic's deliveries go, in the short or the object form. */
export const target = scalar('target', (value) =>
  typeof value === 'string' ? shortForm(value) : value,
)
  .transform(read)
  .meta({ type: 'target' }) as Field<TargetDocument>;

/** A URL-like short form as the object form that it stands for. */
function shortForm(short: string): unknown {
  if (short === 'grpc' || short === 'pull') return { [short]: {} };
  if (/^https?:/.test(short)) return { http: { url: short } };
  if (short.startsWith('fastcgi://')) return { fastcgi: splitFastcgi(short) };
  if (/^command\b/.test(short)) {
    throw new TypeError('a command needs its program: target: { command: [php, work.php] }');
  }
  if (/^(rabbitmq|amqps?:)/.test(short)) {
    throw new TypeError('needs more: target: { rabbitmq: { url, user, password, exchange, key } }');
  }
  const forms = 'fastcgi://..., http://..., https://..., grpc or pull';
  throw new TypeError(`${quoted(short)} is not a target: ${forms}`);
}

function splitFastcgi(short: string): { address: string; script: string } {
  const rest = short.slice('fastcgi://'.length);
  const parts = rest.startsWith('unix:')
    ? /^(unix:\/.*?\.sock)(\/.+)$/.exec(rest)
    : /^([^/]+)(\/.+)$/.exec(rest);
  if (parts !== null) return { address: parts[1] as string, script: parts[2] as string };
  const form = rest.startsWith('unix:')
    ? 'fastcgi://unix:/path/to/php-fpm.sock/path/to/script.php; a socket of another name needs ' +
      'target: { fastcgi: { address, script } }'
    : 'fastcgi://host:port/path/to/script.php';
  throw new TypeError(`${quoted(short)} does not name a socket and a script: ${form}`);
}

function read(form: unknown, context: z.RefinementCtx): TargetDocument {
  const kinds = typeof form === 'object' && form !== null ? Object.keys(form) : [];
  const kind = kinds[0] as string;
  if (kinds.length !== 1) {
    return refuse(context, [], `is not one of ${KINDS.join(', ')}, as text or with its settings`);
  }
  const settings = (form as Record<string, unknown>)[kind];
  if (kind === 'fastcgi') {
    return nested(kind, fastcgiSchema, settings, context, (fastcgi) => ({ kind, fastcgi }));
  }
  if (kind === 'http') {
    return nested(kind, httpSchema, settings, context, (http) => {
      for (const name of Object.keys(http.headers)) {
        const own = OWN_HEADERS.includes(name.toLowerCase());
        if (own) refuse(context, [kind, 'headers', name], 'is set by the bus itself');
      }
      return { kind, http };
    });
  }
  if (kind === 'command') {
    return nested(kind, commandSchema, settings, context, (command) => ({ kind, command }));
  }
  if (kind === 'rabbitmq') {
    return nested(kind, rabbitmqSchema, settings, context, (rabbitmq) => ({ kind, rabbitmq }));
  }
  if (kind === 'grpc' || kind === 'pull') {
    return nested(kind, section({}), settings, context, () => ({ kind }));
  }
  return refuse(context, [kind], `is not a target${suggestion(kind, KINDS)}`);
}

function nested<T>(
  kind: string,
  schema: Field<T>,
  value: unknown,
  context: z.RefinementCtx,
  done: (settings: T) => TargetDocument,
): TargetDocument {
  const parsed = schema.safeParse(value);
  if (parsed.success) return done(parsed.data);
  for (const { path, message } of faultsOf(parsed.error.issues)) {
    refuse(context, [kind, ...path], message);
  }
  return undefined as never;
}

function refuse(context: z.RefinementCtx, path: string[], message: string): never {
  context.addIssue({ code: 'custom', message, path });
  return undefined as never;
}
