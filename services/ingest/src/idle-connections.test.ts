import { execFileSync, spawn } from 'node:child_process';
import { eventually } from '@malabar/testkit';
import { expect, onTestFinished, test } from 'vitest';
import { command, RawClient, startRig } from './rig.suite.js';

const CONNECTIONS = 10_000;
const DESCRIPTORS = CONNECTIONS + 500;

/** The clients live in a process of their own, because descriptors are counted by process. */
const CLIENTS = `
  const { connect } = require('node:net');
  const [port, count] = process.argv.slice(1).map(Number);
  const open = () => new Promise((done) => connect({ port, host: '127.0.0.1' }, done));
  // In waves, so that the backlog of the listener never overflows.
  (async () => {
    for (let i = 0; i < count; i += 500) await Promise.all(Array.from({ length: 500 }, open));
  })();
  process.stdin.on('end', () => process.exit()).resume();
`;

function descriptorLimit(): number {
  const text = execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim();
  return text === 'unlimited' ? Number.POSITIVE_INFINITY : Number(text);
}

// Node raises its soft limit to the hard one when it starts.
const limit = descriptorLimit();
if (limit < DESCRIPTORS) {
  console.log(`skipped: ${DESCRIPTORS} descriptors are needed, the limit here is ${limit}`);
}

test.skipIf(limit < DESCRIPTORS)(
  "10,000 idle connections are cheap and in nobody's way",
  async () => {
    const { redis, ingest } = await startRig({ connectionsMax: CONNECTIONS + 1 });
    const before = process.memoryUsage().rss;
    const args = ['-e', CLIENTS, String(redis), String(CONNECTIONS)];
    const clients = spawn(process.execPath, args, { stdio: ['pipe', 'inherit', 'inherit'] });
    onTestFinished(() => {
      clients.kill('SIGKILL');
    });
    await eventually(() => ingest.connections === CONNECTIONS, { timeoutMs: 25_000 });
    const bytesEach = (process.memoryUsage().rss - before) / CONNECTIONS;
    expect(bytesEach).toBeLessThan(20 * 1024);
    const client = new RawClient(redis);
    await client.expect(command('LPUSH', 'q', 'x'), ':1\r\n');
    clients.stdin.end();
    await eventually(() => ingest.connections === 1, { timeoutMs: 25_000 });
  },
  60_000,
);
