import { common } from '@malabar/contracts';
import { type BusError, ERRORS } from '@malabar/core';
import type { Bus } from './bus.js';
import { ErrorReply, RespSocket } from './resp-socket.js';

/** The ways in. */
export const EDGES = ['redis', 'pepperbus', 'http', 'grpc'] as const;

export type Edge = (typeof EDGES)[number];

export interface Job {
  queue: string;
  body: string | Buffer;
  /** None is shown without it. */
  password?: string;
}

/** Pushes one job by this way in, as a newcomer; answers `accepted` or the code of the refusal. */
export function push(bus: Bus, edge: Edge, job: Job): Promise<string> {
  return PUSHES[edge](bus, job);
}

const PUSHES: Record<Edge, (bus: Bus, job: Job) => Promise<string>> = {
  redis: (bus, { queue, body, password }) =>
    withSocket(bus.ports.redis, async (socket) => {
      if (password !== undefined) {
        const answer = await socket.ask('AUTH', queue, password);
        if (answer instanceof ErrorReply) return redisCode(answer);
      }
      const answer = await socket.ask('LPUSH', queue, body);
      return answer instanceof ErrorReply ? redisCode(answer) : 'accepted';
    }),
  pepperbus: (bus, { queue, body, password = '' }) =>
    withSocket(bus.ports.pepperbus, async (socket) => {
      const proof = await socket.ask('AUTH', `${queue}:${password}`);
      if (proof instanceof ErrorReply) return proof.message;
      const { error } = JSON.parse(String(await socket.ask('LPUSH', `${queue}/default`, body)));
      return error === '' ? 'accepted' : error.split(':')[0];
    }),
  async http(bus, { queue, body, password }) {
    const url = `http://127.0.0.1:${bus.ports.http}/v1/queues/${queue}/jobs`;
    const headers = { ...basic(queue, password), 'Content-Type': 'application/octet-stream' };
    const response = await fetch(url, {
      method: 'POST',
      headers,
      body: new Uint8Array(bytes(body)),
    });
    const answer = (await response.json()) as { code?: string };
    return answer.code ?? 'accepted';
  },
  async grpc(bus, { queue, body, password }) {
    const metadata = basic(queue, password);
    try {
      const job = common.Job.fromPartial({ body: bytes(body) });
      await bus.ingest.submit({ queue, job }, { metadata });
      return 'accepted';
    } catch (error) {
      return (error as BusError).code;
    }
  },
};

function bytes(body: string | Buffer): Buffer {
  return typeof body === 'string' ? Buffer.from(body) : body;
}

function basic(queue: string, password: string | undefined): Record<string, string> {
  if (password === undefined) return {};
  return { authorization: `Basic ${Buffer.from(`${queue}:${password}`).toString('base64')}` };
}

/** The code that a Redis error begins with; its text where several codes share the word. */
function redisCode({ message }: ErrorReply): string {
  const word = message.split(' ')[0];
  const codes = Object.entries(ERRORS).filter(([, row]) => row.redis === word);
  return codes.length === 1 ? (codes[0] as [string, unknown])[0] : message;
}

async function withSocket<T>(port: number, use: (socket: RespSocket) => Promise<T>): Promise<T> {
  const socket = await RespSocket.open(port);
  try {
    return await use(socket);
  } finally {
    socket.close();
  }
}
