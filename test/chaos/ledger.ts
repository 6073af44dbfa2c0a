import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a run of the chaos tests knows for sure: which jobs were acknowledged, and what the consumer got. */
export class Ledger {
  readonly accepted = new Set<string>();
  /** How often each job reached the consumer. */
  readonly received = new Map<string, number>();

  receive(name: string): void {
    this.received.set(name, (this.received.get(name) ?? 0) + 1);
  }

  /** Acknowledged jobs that no consumer has seen. */
  missing(): string[] {
    return [...this.accepted].filter((name) => !this.received.has(name));
  }

  get deliveries(): number {
    let sum = 0;
    for (const count of this.received.values()) sum += count;
    return sum;
  }

  /** Deliveries beyond the first of each job, as a part of all jobs delivered. */
  get duplicateRatio(): number {
    return (this.deliveries - this.received.size) / Math.max(1, this.received.size);
  }
}

/** An HTTP consumer that writes down every job it gets; the body is the job's name. */
export async function startConsumer(
  ledger: Ledger,
): Promise<{ url: string; stop(): Promise<void> }> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      ledger.receive(Buffer.concat(chunks).toString());
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/jobs`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
