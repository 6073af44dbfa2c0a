import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PHP, PYTHON } from './interpreters.js';
import { run } from './run.js';

/** Debian's Go libraries lie in a GOPATH of their own: /usr/share/gocode. */
const GO_GRPC = '/usr/share/gocode/src/google.golang.org/grpc';

/** Debian's wrapper in sbin would change the user, and its folder. */
export const RABBITMQ = '/usr/lib/rabbitmq/bin/rabbitmq-server';

/** Something that a test needs from the machine. */
export interface Requirement {
  /** Debian package. */
  name: string;
  /** Why it is not there and how to get it; absent when it is there. */
  missing?: string;
}

/** What tests may need; each is installed where that is harmless (see `debianPackage`). */
export const packages = {
  redis: () => debianPackage('redis-server', ['redis-server', '--version']),
  redisTools: () => debianPackage('redis-tools', ['redis-cli', '--version']),
  beanstalkd: () => debianPackage('beanstalkd', ['beanstalkd', '-v']),
  etcd: () => debianPackage('etcd-server', ['etcd', '--version']),
  rabbitmq: () => debianPackage('rabbitmq-server', ['test', '-x', RABBITMQ]),
  phpFpm: () => debianPackage('php8.2-fpm', ['php-fpm8.2', '--version']),
  php: () => debianPackage('php8.2-cli', [PHP, '--version']),
  phpRedis: () => debianPackage('php8.2-redis', [PHP, '-r', 'new Redis();']),
  phpMbstring: () => debianPackage('php8.2-mbstring', [PHP, '-r', 'mb_strlen("");']),
  pythonRedis: () => debianPackage('python3-redis', [PYTHON, '-c', 'import redis']),
  pythonGrpc: () => debianPackage('python3-grpcio', [PYTHON, '-c', 'import grpc']),
  protobufCompiler: () => debianPackage('protobuf-compiler', ['protoc', '--version']),
  protobufGrpc: () => debianPackage('protobuf-compiler-grpc', ['which', 'grpc_python_plugin']),
  golang: () => debianPackage('golang-go', ['go', 'version']),
  golangGrpc: () => debianPackage('golang-google-grpc-dev', ['test', '-d', GO_GRPC]),
  golangProtobuf: () => debianPackage('protoc-gen-go-1-3', ['which', 'protoc-gen-go']),
};

/**
 * Answers whether `probe` (a command that exits with 0 when all is there) works, and installs
 * package `name` first where nobody minds: as root in a container with apt-get. Where systemd
 * runs it never installs: that is somebody's machine, and apt would start a service there.
 */
export async function debianPackage(
  name: string,
  probe: readonly string[],
  { install = mayInstall() } = {},
): Promise<Requirement> {
  if (await works(probe)) return { name };
  const command = `apt-get install ${name}`;
  if (!install) return { name, missing: `${name} is not installed; get it with: ${command}` };
  const { code, stderr } = await aptInstall(name);
  if (await works(probe)) return { name };
  return { name, missing: `${name}: ${command} ended with ${code}: ${stderr.slice(-300)}` };
}

/**
 * `needs(test, await packages.redis())` is `test`, or skips when something is missing and says so
 * in one line. Takes `describe` too.
 */
export function needs<T>(
  test: { skipIf(condition: unknown): T },
  ...requirements: readonly Requirement[]
): T {
  const missing = requirements.filter((each) => each.missing !== undefined);
  for (const each of missing) console.warn(`tests skipped: ${each.missing}`);
  return test.skipIf(missing.length > 0);
}

async function works([command = '', ...args]: readonly string[]): Promise<boolean> {
  try {
    return (await run(command, args, { env: { PATH: searchPath() } })).code === 0;
  } catch {
    return false;
  }
}

/** Debian keeps its servers in sbin, which a user's PATH often lacks. */
export function searchPath(): string {
  return `${process.env.PATH}:/usr/local/sbin:/usr/sbin:/sbin`;
}

function mayInstall(): boolean {
  return (
    process.getuid?.() === 0 && existsSync('/usr/bin/apt-get') && !existsSync('/run/systemd/system')
  );
}

/** One apt-get at a time over all workers; one that waited finds the package there already. */
async function aptInstall(name: string): Promise<{ code: number | null; stderr: string }> {
  const script =
    'apt-get -qq update && apt-get -qq -o DPkg::Lock::Timeout=300 install ' +
    '--yes --no-install-recommends "$0"';
  const lock = join(tmpdir(), 'malabar-apt.lock');
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  try {
    return await run('flock', [lock, 'sh', '-c', script, name], { env, timeoutMs: 600_000 });
  } catch (error) {
    return { code: null, stderr: String(error) };
  }
}
