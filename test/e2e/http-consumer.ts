import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request as the consumer saw it. */
export interface Received {
  body: string;
  headers: IncomingHttpHeaders;
}

export interface HttpConsumer {
  url: string;
  received: Received[];
  bodies(): string[];
  stop(): Promise<void>;
}

/** An HTTP endpoint that remembers what it got; `answer` decides what it says (default: 200). */
export async function startHttpConsumer(
  answer: (received: Received, response: ServerResponse) => void = (_, response) => response.end(),
): Promise<HttpConsumer> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      const one = { body: Buffer.concat(chunks).toString(), headers: request.headers };
      received.push(one);
      answer(one, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/jobs`,
    received,
    bodies: () => received.map(({ body }) => body),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
