import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A job as an HTTP consumer gets it: everything but the body is in headers. */
export interface Received {
  jobId: string;
  /** Which try this is, from 1. */
  attempt: number;
  body: string;
}

/** What a consumer answers: nothing for yes, its reason for no. */
export type Work = (job: Received) => string | undefined;

export interface Consumer {
  /** Where it listens; with the real port if port 0 was asked for. */
  url: string;
  close(): Promise<void>;
}

/** An HTTP consumer at `url`: 200 says yes, 500 with a text says no and why. */
export async function startConsumer(url: string, work: Work): Promise<Consumer> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const fault = work(receivedOf(request.headers, Buffer.concat(chunks).toString()));
    response.writeHead(fault === undefined ? 200 : 500, { 'content-type': 'text/plain' });
    response.end(fault ?? 'done');
  });
  const where = new URL(url);
  server.listen(Number(where.port), where.hostname);
  await once(server, 'listening');
  where.port = String((server.address() as AddressInfo).port);
  return {
    url: where.href,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

function receivedOf(headers: IncomingHttpHeaders, body: string): Received {
  return {
    jobId: String(headers['malabar-job-id'] ?? ''),
    attempt: Number(headers['malabar-attempt'] ?? 1),
    body,
  };
}
