import { once } from 'node:events';
import { createRequire } from 'node:module';
import type { Readable } from 'node:stream';
import type connector from 'fastcgi-client';
import {
  fastcgiSuite,
  type Subject,
  type SubjectOptions,
  type SubjectRequest,
  type SubjectResponse,
} from '../../libs/fastcgi/src/fastcgi.suite.js';

// CommonJS; its types describe an ES default export that it does not have.
const createClient: typeof connector.default = createRequire(import.meta.url)('fastcgi-client');

/** The npm package behind the interface of the suite; what it gives raw is parsed here. */
function subject({ address, connectionsMax }: SubjectOptions): Subject {
  const [host, port] = address.split(':');
  const place = host === 'unix' ? { sockFile: port } : { host, port: Number(port) };
  const client = createClient({ ...place, maxConns: connectionsMax, skipCheckServer: true });
  const ready = once(client, 'ready');
  return {
    async request(request) {
      await ready;
      return send(client, request);
    },
    // It has no way to close: each connection ends with its request.
    close: async () => {},
  };
}

function send(
  client: ReturnType<typeof createClient>,
  { params, stdin }: SubjectRequest,
): Promise<SubjectResponse> {
  return new Promise((resolve, reject) => {
    client.request(params, (error, request) => {
      if (error) return reject(error);
      const outputs = Promise.all([text(request.stdout), text(request.stderr)]);
      request.stdin.end(stdin);
      outputs.then(([stdout, stderr]) => {
        const status = request.getExitStatus();
        if (status instanceof Error) reject(status);
        else resolve(cgiResponse(stdout, stderr.toString()));
      }, reject);
    });
  });
}

async function text(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function cgiResponse(output: Buffer, stderr: string): SubjectResponse {
  const end = output.indexOf('\r\n\r\n');
  const lines = output.toString('latin1', 0, end).split('\r\n');
  const headers = new Map(
    lines.map((line): [string, string] => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  const status = Number.parseInt(headers.get('status') ?? '200', 10);
  return { status, headers, body: output.subarray(end + 4), stderr };
}

await fastcgiSuite('npm fastcgi-client 0.2.0', subject, {
  'keep-alive': 'a new connection for each request',
  timeout: 'no time limit',
  waiting: 'an error instead of a turn',
  'large parameters': 'it cuts pairs between records',
});
