import { createHash } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import {
  eventually,
  needs,
  type PhpFpm,
  type PhpFpmOptions,
  packages,
  phpFpm,
} from '@malabar/testkit';
import { expect, onTestFinished, test } from 'vitest';

/** A FastCGI client under test. */
export interface Subject {
  request(request: SubjectRequest): Promise<SubjectResponse>;
  close(): Promise<void>;
}

export interface SubjectRequest {
  params: Record<string, string>;
  stdin: Buffer;
  timeoutMs: number;
}

export interface SubjectResponse {
  status: number;
  headers: ReadonlyMap<string, string>;
  body: Buffer;
  stderr: string;
}

export interface SubjectOptions {
  /** `unix:/path` or `host:port`. */
  address: string;
  connectionsMax: number;
}

interface Case {
  /** What a client that cannot do it lacks; the key of `gaps`. */
  gap: string;
  fpm?: PhpFpmOptions;
  run(subject: Asking, fpm: PhpFpm, connections: () => number): Promise<void>;
}

/** Asks for one of `scripts`. */
type Asking = (script: string, request?: Partial<SubjectRequest>) => Promise<SubjectResponse>;

export const scripts = {
  'pid.php': '<?php header("Code: 200"); echo getmypid();',
  'post.php': '<?php echo $_SERVER["REQUEST_METHOD"], " ", $_POST["name"];',
  'warn.php': '<?php error_log("logged"); echo $missing; header("Code: 200"); echo "done";',
  'fatal.php': '<?php header("Code: 200"); echo "partly"; flush(); no_such_function();',
  'digest.php': '<?php $b = file_get_contents("php://input"); echo strlen($b), " ", md5($b);',
  'echo.php': '<?php echo file_get_contents("php://input");',
  // A signal ends usleep early, hence the loop.
  'sleep.php': `<?php
    touch(__DIR__ . "/asleep");
    $until = microtime(true) + $_GET["ms"] / 1000;
    while (($left = $until - microtime(true)) > 0) usleep((int) ($left * 1e6) + 1);
    echo "woken";`,
  'params.php': '<?php foreach (range(1, 5) as $i) echo md5($_SERVER["BIG$i"]), " ";',
};

const cases: Record<string, Case> = {
  'a form reaches $_POST, the output comes back, over a unix socket': {
    gap: 'unix socket',
    async run(ask) {
      const { status, body, stderr } = await ask('post.php', {
        stdin: Buffer.from('name=J%C3%B6'),
      });
      expect([status, body.toString(), stderr]).toEqual([200, 'POST Jö', '']);
    },
  },
  'a form reaches $_POST, the output comes back, over TCP': {
    gap: 'tcp',
    fpm: { listen: 'tcp' },
    async run(ask) {
      const { status, body } = await ask('post.php', { stdin: Buffer.from('name=x') });
      expect([status, body.toString()]).toEqual([200, 'POST x']);
    },
  },
  'warnings and error_log come as error text and leave headers and body alone': {
    gap: 'stderr apart',
    async run(ask) {
      const { headers, body, stderr } = await ask('warn.php');
      expect([headers.get('code'), body.toString()]).toEqual(['200', 'done']);
      expect(stderr).toContain('PHP message: logged');
      expect(stderr).toContain('Undefined variable $missing');
    },
  },
  'a missing script is a 404 with the reason as error text': {
    gap: 'missing script',
    async run(ask) {
      const { status, body, stderr } = await ask('missing.php');
      expect([status, body.toString()]).toEqual([404, 'File not found.\n']);
      expect(stderr).toContain('Primary script unknown');
    },
  },
  'a fatal error behind sent headers keeps them, and the error text says it': {
    gap: 'fatal after headers',
    async run(ask) {
      const { headers, body, stderr } = await ask('fatal.php');
      expect([headers.get('code'), body.toString()]).toEqual(['200', 'partly']);
      expect(stderr).toContain('PHP Fatal error:  Uncaught Error: Call to undefined function');
    },
  },
  'a body of three megabytes arrives whole': {
    gap: 'large body',
    async run(ask) {
      const stdin = Buffer.alloc(3_000_001, 'malabar ');
      const { body } = await ask('digest.php', { stdin });
      const digest = createHash('md5').update(stdin).digest('hex');
      expect(body.toString()).toBe(`3000001 ${digest}`);
    },
  },
  'an answer of three megabytes arrives whole': {
    gap: 'large answer',
    async run(ask) {
      const stdin = Buffer.alloc(3_000_001, 'malabar ');
      const { body } = await ask('echo.php', { stdin });
      expect(body.equals(stdin)).toBe(true);
    },
  },
  'parameters of 150 KB in all arrive whole': {
    gap: 'large parameters',
    async run(ask) {
      const values = [30_000, 30_000, 30_000, 30_000, 30_000].map((size, i) => `${i}`.repeat(size));
      const params = Object.fromEntries(values.map((value, i) => [`BIG${i + 1}`, value]));
      const { body } = await ask('params.php', { params });
      const digests = values.map((value) => createHash('md5').update(value).digest('hex'));
      expect(body.toString().trim()).toBe(digests.join(' '));
    },
  },
  'twenty requests, one after the other, use one connection and one child': {
    gap: 'keep-alive',
    async run(ask, _fpm, connections) {
      const pids = new Set<string>();
      for (let i = 0; i < 20; i++) pids.add((await ask('pid.php')).body.toString());
      expect({ connections: connections(), pids: pids.size }).toEqual({ connections: 1, pids: 1 });
    },
  },
  'a request that takes longer than its limit fails': {
    gap: 'timeout',
    async run(ask) {
      const late = ask('sleep.php', { params: { QUERY_STRING: 'ms=800' }, timeoutMs: 100 });
      await expect(late).rejects.toThrow();
    },
  },
  'more requests than connections wait their turn': {
    gap: 'waiting',
    async run(ask) {
      const params = { QUERY_STRING: 'ms=20' };
      const answers = await Promise.all(
        Array.from({ length: 6 }, () => ask('sleep.php', { params })),
      );
      expect(answers.map(({ body }) => body.toString())).toEqual(Array(6).fill('woken'));
    },
  },
  'a child that is killed fails its request': {
    gap: 'crash',
    fpm: { children: 1 },
    async run(ask, fpm) {
      const cut = ask('sleep.php', { params: { QUERY_STRING: 'ms=5000' } });
      const rejected = expect(cut).rejects.toThrow();
      await asleep(fpm);
      for (const pid of fpm.children()) process.kill(pid, 'SIGKILL');
      await rejected;
    },
  },
};

/**
 * What a client must do with a real php-fpm. `gaps` names what a client is known not to do and
 * why: those cases must then fail, so that the difference stays visible and true.
 */
export async function fastcgiSuite(
  name: string,
  create: (options: SubjectOptions) => Subject,
  gaps: Record<string, string> = {},
): Promise<void> {
  const withFpm = needs(test, await packages.phpFpm());
  for (const [what, each] of Object.entries(cases)) {
    const gap = gaps[each.gap];
    const body = () => runCase(each, create);
    if (gap === undefined) withFpm(`${name}: ${what}`, body);
    else {
      withFpm(`${name}: known gap, ${gap}: not ${what}`, async () => {
        const failed = await body().catch((error: Error) => error);
        expect(failed, 'the known gap is closed: take it off the list').toBeInstanceOf(Error);
      });
    }
  }
}

async function runCase(each: Case, create: (options: SubjectOptions) => Subject): Promise<void> {
  const fpm = await phpWith(scripts, each.fpm);
  const proxy = await countingProxy(fpm.address);
  const subject = create({ address: proxy.address, connectionsMax: 2 });
  onTestFinished(async () => {
    await subject.close();
    proxy.stop();
  });
  const ask = asking(fpm, (request) => subject.request(request));
  await each.run(ask, fpm, proxy.connections);
}

/** php-fpm with these scripts in its folder, stopped behind the test. */
export async function phpWith(
  files: Record<string, string>,
  options?: PhpFpmOptions,
): Promise<PhpFpm> {
  const fpm = await phpFpm(options);
  onTestFinished(() => fpm.stop());
  for (const [name, text] of Object.entries(files)) writeFileSync(join(fpm.dir, name), text);
  return fpm;
}

/** Until sleep.php runs. */
export function asleep(fpm: PhpFpm): Promise<boolean> {
  return eventually(() => existsSync(join(fpm.dir, 'asleep')));
}

/** Turns a script's name and what is special of a request into the request. */
export function asking<T>(
  fpm: PhpFpm,
  request: (request: SubjectRequest) => Promise<T>,
): (script: string, over?: Partial<SubjectRequest>) => Promise<T> {
  return (script, { params, stdin = Buffer.from('a=b'), timeoutMs = 10_000 } = {}) =>
    request({
      params: {
        SCRIPT_FILENAME: join(fpm.dir, script),
        REQUEST_METHOD: 'POST',
        CONTENT_LENGTH: `${stdin.length}`,
        CONTENT_TYPE: 'application/x-www-form-urlencoded',
        ...params,
      },
      stdin,
      timeoutMs,
    });
}

/** Passes bytes on and counts the connections, of the same kind of address. */
async function countingProxy(address: string) {
  const path = address.startsWith('unix:') ? address.slice('unix:'.length) : undefined;
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((near) => {
    connections++;
    const far = path === undefined ? connect(Number(address.split(':')[1])) : connect(path);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
    }
  });
  await new Promise<void>((resolve) => {
    if (path === undefined) server.listen(0, '127.0.0.1', resolve);
    else server.listen(`${path}.proxy`, resolve);
  });
  const bound = server.address();
  return {
    address: typeof bound === 'object' && bound ? `127.0.0.1:${bound.port}` : `${address}.proxy`,
    connections: () => connections,
    stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
