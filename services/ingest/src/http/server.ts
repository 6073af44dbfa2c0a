import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { TlsOptions } from 'node:tls';
import { BusError, type Clock, ERRORS, toBusError } from '@malabar/core';
import type { Logger } from '@malabar/telemetry';
import { Access, type AccessRules } from '../access.js';
import type { GatheringBudget } from '../connection.js';
import type { Intake, IntakeQueue } from '../intake.js';
import { readBasic } from './basic.js';
import { pushLines } from './lines.js';
import { readJobHeaders } from './options.js';
import { pushOne } from './single.js';

/** A connection on which nothing moves for so long is closed. */
const IDLE_TIMEOUT_MS = 60_000;
const HEADERS_TIMEOUT_MS = 15_000;
/** As much of a refused body is read and dropped: a sender that is cut off never sees our answer. */
const DROPPED_BYTES_MAX = 64 * 1024 * 1024;

export interface HttpContext {
  intake: Intake;
  rules: AccessRules;
  clock: Clock;
  log: Logger;
  tls: TlsOptions | undefined;
  gathering: GatheringBudget;
  /** Bytes of one request's jobs that may wait for storage. */
  bytesMax: number;
  /** Queues without a password are open on this listener. */
  open: boolean;
}

/** `POST /v1/queues/<queue>/jobs`, one body or NDJSON. Everything else is an error in JSON. */
export function createHttpServer(context: HttpContext): Server {
  const answer = (req: IncomingMessage, res: ServerResponse): void => {
    handle(context, req, res).catch((thrown) => sendError(req, res, toBusError(thrown)));
  };
  const settings = { noDelay: true, headersTimeout: HEADERS_TIMEOUT_MS };
  const { tls } = context;
  const server = tls
    ? createTlsServer({ ...settings, ...tls }, answer)
    : createServer(settings, answer);
  // A producer may stream NDJSON for hours; only silence ends it.
  server.requestTimeout = 0;
  server.timeout = IDLE_TIMEOUT_MS;
  return server;
}

async function handle(
  context: HttpContext,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const queueName = queueOf(req.url ?? '');
  if (queueName === undefined) {
    return send(res, 404, { code: 'INVALID', message: 'try POST /v1/queues/<queue>/jobs' });
  }
  if (req.method !== 'POST') {
    res.setHeader('Allow', 'POST');
    const message = `${req.method} is not possible here, jobs are pushed with POST`;
    return send(res, 405, { code: 'INVALID', message });
  }
  const queue = await authorize(context, queueName, req.headers.authorization);
  const wish = readJobHeaders(req.headers, context.clock.now());
  const lines = /^application\/x-ndjson\b/i.test(req.headers['content-type'] ?? '');
  if (lines) return pushLines(context, queue, wish, req, res);
  const outcome = await pushOne(context, queue, wish, req);
  if (outcome.error) throw outcome.error;
  const { jobId, duplicate } = outcome;
  send(res, 201, { id: jobId, duplicate, durability: 'fsync' });
}

function queueOf(url: string): string | undefined {
  const [, name] = /^\/v1\/queues\/([^/?]+)\/jobs\/?(?:\?|$)/.exec(url) ?? [];
  try {
    return name && decodeURIComponent(name);
  } catch {
    return undefined;
  }
}

async function authorize(
  { intake, rules, open }: HttpContext,
  name: string,
  authorization: string | undefined,
): Promise<IntakeQueue> {
  const queue = intake.require(name);
  const access = new Access(rules, open);
  const basic = readBasic(authorization);
  if (basic && !(await access.login(basic[0], basic[1]))) {
    throw new BusError('WRONG_PASSWORD', `wrong password for ${JSON.stringify(basic[0])}`);
  }
  const error = access.pushRefusal(queue);
  if (error) {
    const hint = 'expected: Authorization: Basic base64(queue:password)';
    throw new BusError(error.code, `queue ${JSON.stringify(name)} needs its password; ${hint}`);
  }
  return queue;
}

function sendError(req: IncomingMessage, res: ServerResponse, error: BusError): void {
  if (res.headersSent) return void res.destroy();
  if (!req.complete) dropRest(req);
  const { http } = ERRORS[error.code];
  if (http === 401) res.setHeader('WWW-Authenticate', 'Basic realm="malabar"');
  send(res, http, { code: error.code, message: error.message });
}

function dropRest(req: IncomingMessage): void {
  let bytes = 0;
  req.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > DROPPED_BYTES_MAX) req.destroy();
  });
}

function send(res: ServerResponse, status: number, body: object): void {
  const text = Buffer.from(`${JSON.stringify(body)}\n`);
  res.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': text.length });
  res.end(text);
}
