import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { type Client, connect, type ServiceDefinition } from '@malabar/rpc';
import { type EtcdServer, etcdServer, run as runProcess, tempDir } from '@malabar/testkit';
import { memoryContext } from '../../services/cli/src/context.suite.js';
import { run } from '../../services/cli/src/program.js';
import { type Bus, MALABAR, startBus } from '../harness/bus.js';
import { readFolder } from './files.js';
import { type Collected, findLeaks, type Planted } from './needles.js';

/** Where secrets stand that the test knows before anything runs. */
export const SECRETS = [
  'queuePassword',
  'topicPassword',
  'header',
  'sourcePassword',
  'brokerPassword',
  'annPassword',
  'bobPassword',
  'grpcToken',
  'secretKey',
  'wrongSecretKey',
  'etcdPassword',
  'configSecret',
  'refusedSecret',
  'importedSecret',
  'mistypedName',
] as const;

export type SecretName = (typeof SECRETS)[number];

const HTTP_TARGET_AWAY = 'http://127.0.0.1:9';
const BROKER_AWAY = 'amqp://127.0.0.1:9';

export type BackendName = 'lmdb' | 'etcd';

/** A bus with planted secrets, and everything that anybody gets to read of it. */
export class PlantedBus {
  readonly planted: Planted[] = [];
  readonly collected: Collected[] = [];
  readonly #secrets = new Map<string, string>();
  readonly #folder = tempDir('secrets');
  readonly #harvested = new Map<string, string>();
  #keptByEtcd: Collected[] = [];
  #bus: Bus | undefined;
  #etcd: EtcdServer | undefined;

  constructor(private readonly backend: BackendName) {
    // What is safe in one place is split, escaped or encoded in another.
    for (const name of SECRETS) {
      this.plant(name, `${name}-${randomBytes(15).toString('base64url')}/+"&=%`);
    }
  }

  /** A further secret, of which nobody may read from now on. */
  plant(name: string, value: string): void {
    this.planted.push({ name, value });
    this.#secrets.set(name, value);
    writeFileSync(this.fileOf(name), `${value}\n`, { mode: 0o600 });
  }

  text(name: SecretName): string {
    return this.#secrets.get(name) as string;
  }

  /** A file with a secret in it, as operators have them. */
  fileOf(name: string): string {
    return join(this.#folder, name);
  }

  get bus(): Bus {
    return this.#bus as Bus;
  }

  /** The keeper's gRPC address. */
  get keeper(): string {
    const { grpc } = this.bus.ports;
    return `127.0.0.1:${this.backend === 'lmdb' ? grpc.keeper : grpc.all}`;
  }

  async start(): Promise<void> {
    this.#etcd = this.backend === 'etcd' ? await this.#guardedEtcd() : undefined;
    this.#bus = await startBus({
      // Snapshots are written by those who have the keeper somewhere else.
      mode: this.backend === 'lmdb' ? 'many-processes' : 'one-process',
      documents: this.documents(),
      settings: ['log.level=trace'],
    });
  }

  async stop(): Promise<void> {
    await this.#bus?.stop();
    await this.#etcd?.stop();
  }

  /** malabar.yaml: its secrets stand elsewhere. */
  documents(
    secretKey: SecretName = 'secretKey',
    etcdPassword: SecretName = 'etcdPassword',
  ): string {
    const secret = (name: SecretName): string => `{ secret: "file:${this.fileOf(name)}" }`;
    const broker = (name: SecretName): string =>
      `url: "${BROKER_AWAY}", user: bus, password: ${secret(name)}`;
    const etcd = `
  backend: etcd
  etcd: { endpoints: ["${this.#etcd?.address}"], user: keeper, password: ${secret(etcdPassword)} }`;
    return `
grpc: { token: ${secret('grpcToken')} }
keeper:
  secret_key: ${secret(secretKey)}${this.#etcd ? etcd : ''}
systems: { shop: { owner: shop-team } }
people:
  ann: { password: ${secret('annPassword')}, grants: { '*': admin } }
sources:
  trades: { rabbitmq: { ${broker('sourcePassword')} }, push: paid }
queues:
  paid:
    system: shop
    password: ${secret('queuePassword')}
    topics:
      ship:
        target: { http: { url: "${HTTP_TARGET_AWAY}/", headers: { authorization: ${secret('header')} } } }
        retry: { attempts: 2, backoff: fixed, min: 10ms, max: 10ms }
      told: { target: { rabbitmq: { ${broker('brokerPassword')} } } }
      held: { target: pull, password: ${secret('topicPassword')} }
`;
  }

  /** Runs the command as a user; nobody if there is none. What it prints is collected. */
  async cli(args: readonly string[], options: CliOptions = {}): Promise<void> {
    const text = await this.unseen(args, options);
    this.collect(`malabar ${args.join(' ')}`, text);
    this.harvest();
  }

  /** The same for what is meant to show a secret; what it printed. */
  async unseen(args: readonly string[], options: CliOptions = {}): Promise<string> {
    const { user = 'nobody', input = '', env, ends = 0 } = options;
    const context = memoryContext({
      input,
      env: { HOME: this.#home(user), ...env },
      cwd: this.#folder,
    });
    const local = args[0] === 'config' && ['check', 'show'].includes(args[1] as string);
    const all = local ? args : [...args, '--address', this.keeper];
    const code = await run(all, context);
    const { lines, notes } = context.terminal;
    const text = [...lines, ...notes].join('\n');
    if (code !== ends) throw new Error(`malabar ${args.join(' ')} ended with ${code}: ${text}`);
    return text;
  }

  /** The same in a process of its own. */
  async process(args: readonly string[], user: string): Promise<void> {
    const all = [MALABAR, ...args, '--address', this.keeper];
    const env = { HOME: this.#home(user), XDG_CONFIG_HOME: '' };
    const { stdout, stderr } = await runProcess(process.execPath, all, { env, timeoutMs: 60_000 });
    this.collect(`malabar ${args.join(' ')}`, `${stdout}\n${stderr}`);
  }

  /** The session that `malabar login` keeps for a user. */
  sessionOf(user: string): string {
    const file = join(this.#home(user), '.config', 'malabar', 'sessions.json');
    const [session] = Object.values<{ token: string }>(JSON.parse(readFileSync(file, 'utf8')));
    return session?.token ?? '';
  }

  /** Calls a service with a token; answer and error are collected, with all that hangs on them. */
  async call<D extends ServiceDefinition>(
    definition: D,
    token: string | undefined,
    work: (client: Client<D>) => Promise<unknown>,
    address = this.keeper,
  ): Promise<unknown> {
    const client = connect(definition, { address, token });
    try {
      const answer = await work(client);
      this.collect(`answer of ${definition.name}`, inspect(answer, { depth: 12 }));
      return answer;
    } catch (error) {
      this.collect(`error of ${definition.name}`, inspect(error, { depth: 12 }));
      return error;
    } finally {
      client.close();
      this.harvest();
    }
  }

  collect(where: string, content: string | Buffer): void {
    this.collected.push({ where, content: Buffer.from(content) });
  }

  /** Takes what the processes have logged since the last time: the harness keeps the end only. */
  harvest(): void {
    for (const part of this.bus.parts) {
      const log = this.bus.log(part);
      if (this.#harvested.get(part) === log) continue;
      this.#harvested.set(part, log);
      this.collect(`log of ${part}`, log);
    }
  }

  /** Every file of the bus and of etcd, and the command lines of the processes. */
  collectFiles(): void {
    this.collected.push(...readFolder(this.bus.dir));
    // Etcd keeps its own passwords as it likes; what we give it to keep is ours.
    if (this.#etcd) this.#keptByEtcd = readFolder(this.#etcd.dir);
    for (const part of this.bus.parts) {
      const file = `/proc/${this.bus.pid(part)}/cmdline`;
      this.collect(file, readFileSync(file));
    }
  }

  #home(user: string): string {
    const home = join(this.#folder, `home-${user}`);
    mkdirSync(home, { recursive: true });
    return home;
  }

  /** Every place where a secret stands that nobody should read. */
  leaks(): string[] {
    const ours = this.planted.filter(({ name }) => name !== 'etcdPassword');
    return [...findLeaks(this.collected, this.planted), ...findLeaks(this.#keptByEtcd, ours)];
  }

  /** An etcd in which `keeper` may use what begins with `/malabar`. */
  async #guardedEtcd(): Promise<EtcdServer> {
    const server = await etcdServer();
    const call = async (name: string, body: object): Promise<void> => {
      const url = `http://${server.address}/v3/auth/${name}`;
      const answer = await fetch(url, { method: 'POST', body: JSON.stringify(body) });
      if (!answer.ok) throw new Error(await answer.text());
    };
    const base64 = (text: string): string => Buffer.from(text).toString('base64');
    const perm = { permType: 'READWRITE', key: base64('/malabar'), range_end: base64('/malabas') };
    await call('user/add', { name: 'root', password: 'root' });
    await call('user/add', { name: 'keeper', password: this.text('etcdPassword') });
    await call('role/add', { name: 'malabar' });
    await call('role/grant', { name: 'malabar', perm });
    await call('role/add', { name: 'root' });
    await call('user/grant', { user: 'root', role: 'root' });
    await call('user/grant', { user: 'keeper', role: 'malabar' });
    await call('enable', {});
    return server;
  }
}

interface CliOptions {
  user?: string;
  input?: string;
  env?: Record<string, string>;
  /** The exit code that it must end with. */
  ends?: number;
}
