import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { discovery } from '@malabar/contracts';
import type { KeeperClientLog } from '../log.js';
import { replaceFile } from '../replace-file.js';

const HEADER = /^malabar-services\/1 ([0-9a-f]{64})$/;

interface Stored {
  env: string;
  services: discovery.Service[];
}

export interface ServiceListOptions {
  /** Without it nothing outlives the process. */
  path: string | undefined;
  env: string;
  log: KeeperClientLog;
}

/** The services that a program followed, in a file: where it finds them while no keeper answers. */
export class ServiceList {
  readonly #options: ServiceListOptions;
  readonly #services = new Map<string, discovery.Service>();
  #writing: Promise<void> | undefined;
  #unwritten = false;

  constructor(options: ServiceListOptions) {
    this.#options = options;
  }

  /** Reads the file, if there is one. One that is damaged or of another env is ignored, and logged. */
  async open(): Promise<void> {
    const { path, env, log } = this.#options;
    if (path === undefined) return;
    try {
      const stored = decode(await readFile(path));
      if (stored.env !== env) throw new Error(`is of env '${stored.env}'`);
      for (const service of stored.services) this.#services.set(service.name, service);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT') log.warn({ file: path, reason: message }, 'list of services ignored');
    }
  }

  get(service: string): discovery.Service | undefined {
    return this.#services.get(service);
  }

  /** Keeps what the keeper says; written at once, but never twice at the same time. */
  set(service: discovery.Service): void {
    this.#services.set(service.name, service);
    if (this.#options.path === undefined) return;
    this.#unwritten = true;
    this.#writing ??= this.#write(this.#options.path);
  }

  /** Resolves when everything is on disk. */
  async close(): Promise<void> {
    await this.#writing;
  }

  async #write(path: string): Promise<void> {
    const { env, log } = this.#options;
    while (this.#unwritten) {
      this.#unwritten = false;
      try {
        await replaceFile(path, encode({ env, services: [...this.#services.values()] }));
      } catch (error) {
        log.error({ file: path, reason: (error as Error).message }, 'list of services not written');
      }
    }
    this.#writing = undefined;
  }
}

/** A line with the SHA-256 of all that follows it, and the list as JSON. */
function encode(stored: Stored): Buffer {
  const body = Buffer.from(JSON.stringify(stored));
  return Buffer.concat([Buffer.from(`malabar-services/1 ${sha256(body)}\n`), body]);
}

function decode(bytes: Buffer): Stored {
  const end = bytes.indexOf('\n');
  const [, checksum] = HEADER.exec(bytes.toString('latin1', 0, Math.max(0, end))) ?? [];
  if (checksum === undefined) throw new Error('is no list of this version');
  const body = bytes.subarray(end + 1);
  if (sha256(body) !== checksum) throw new Error('is damaged: its checksum does not match');
  const { env, services } = JSON.parse(body.toString()) as Stored;
  return { env, services: services.map((service) => discovery.Service.fromPartial(service)) };
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
