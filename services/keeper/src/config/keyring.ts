import type { Author } from '@malabar/access';
import { type config, keeperRecords } from '@malabar/contracts';
import { BusError, type Clock } from '@malabar/core';
import type { Backend, Put } from '../backend.js';
import { keys } from '../keys.js';
import type { AuditLog } from './audit.js';
import { decrypt, encrypt, newKey, type SecretKey } from './sealing.js';
import type { SecretKeys } from './secret-keys.js';

const TRIES_MAX = 10;

/** A key that seals secrets, as it is kept only here in memory. */
export interface OpenKey {
  id: number;
  bytes: Uint8Array;
}

interface Stored {
  record: keeperRecords.KeyringRecord;
  revision: number;
}

/**
 * The data keys that seal secrets, each wrapped by a secret key of the configuration. Old ones stay:
 * history must remain readable. One record, so a rotation is whole or has not been.
 */
export class Keyring {
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #audit: AuditLog;
  readonly #secretKeys: SecretKeys;
  #open = new Map<number, OpenKey>();
  #reading: Promise<void> | undefined;

  constructor(options: {
    backend: Backend;
    clock: Clock;
    audit: AuditLog;
    secretKeys: SecretKeys;
  }) {
    this.#backend = options.backend;
    this.#clock = options.clock;
    this.#audit = options.audit;
    this.#secretKeys = options.secretKeys;
  }

  /** Throws INVALID, naming keys by their ids, if what is kept is not wrapped by a key that we have. */
  async load(): Promise<void> {
    this.#take((await this.#stored()).record);
  }

  /** The key that seals what is new; makes the first one. Throws INVALID if there is no secret key. */
  async newest(): Promise<OpenKey> {
    if (this.#open.size === 0) await this.load();
    if (this.#open.size === 0) await this.#add();
    return this.#open.get(Math.max(...this.#open.keys())) as OpenKey;
  }

  /** The key of that id, also if another keeper made it a moment ago. */
  async key(id: number): Promise<OpenKey> {
    if (!this.#open.has(id)) {
      this.#reading ??= this.load().finally(() => {
        this.#reading = undefined;
      });
      await this.#reading;
    }
    const key = this.#open.get(id);
    if (key === undefined) throw new BusError('CORRUPT', `the keyring has no data key ${id}`);
    return key;
  }

  /** Wraps all data keys by the current secret key and begins a new one. */
  async rotate(by: Author): Promise<config.RotateSecretKeyResponse> {
    const { id } = this.#current();
    const deed = { domain: '', action: 'rotate-key', note: `secret key ${id}` };
    await this.#add(this.#audit.record(by, deed).puts);
    return { keyId: id, dataKeys: this.#open.size };
  }

  /** Adds a data key: always with the record of who asked, else only the first. */
  async #add(audit?: readonly Put[]): Promise<void> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const { record, revision } = await this.#stored();
      this.#take(record);
      if (audit === undefined && record.keys.length > 0) return;
      const next = this.#withNewKey(record);
      const value = keeperRecords.KeyringRecord.encode(next).finish();
      const conditions = [{ key: keys.keyring, revision }];
      const committed = await this.#backend.commit({
        conditions,
        puts: [{ key: keys.keyring, value }, ...(audit ?? [])],
      });
      if (committed !== undefined) return this.#take(next);
    }
    throw new BusError('CONFLICT', 'others change the keyring at the same time; try again');
  }

  #withNewKey({ keys: wrapped }: keeperRecords.KeyringRecord): keeperRecords.KeyringRecord {
    const secret = this.#current();
    const id = Math.max(0, ...wrapped.map((key) => key.id)) + 1;
    const again = wrapped.map((key) => ({
      ...key,
      ...wrap(secret, this.#open.get(key.id) as OpenKey),
    }));
    const fresh = { id, createdAtMs: this.#clock.now(), ...wrap(secret, { id, bytes: newKey() }) };
    return { keys: [...again, fresh] };
  }

  #take(record: keeperRecords.KeyringRecord): void {
    const open = record.keys.map((key) => unwrap(key, this.#wrapperOf(key)));
    this.#open = new Map(open.map((key) => [key.id, key]));
  }

  #wrapperOf({ wrappedBy }: keeperRecords.DataKey): SecretKey {
    const { current, previous } = this.#secretKeys;
    const ours = [current, ...previous].filter((key) => key !== undefined);
    const wrapper = ours.find(({ id }) => id === wrappedBy);
    if (wrapper !== undefined) return wrapper;
    const have = ours.length === 0 ? 'none is given' : `given: ${ours.map(({ id }) => id)}`;
    throw new BusError(
      'INVALID',
      `the secrets are kept under secret key ${wrappedBy}, ${have}; set keeper.secretKey, or keeper.previousSecretKey until it is rotated`,
    );
  }

  #current(): SecretKey {
    const { current } = this.#secretKeys;
    if (current !== undefined) return current;
    throw new BusError(
      'INVALID',
      'secrets cannot be kept: this keeper has no secret key; set keeper.secretKey to 32 characters or more, the same for all keepers',
    );
  }

  async #stored(): Promise<Stored> {
    const entry = await this.#backend.get(keys.keyring);
    if (entry === undefined) return { record: { keys: [] }, revision: 0 };
    return { record: keeperRecords.KeyringRecord.decode(entry.value), revision: entry.revision };
  }
}

function wrap(
  { id: wrappedBy, bytes }: SecretKey,
  key: OpenKey,
): Pick<keeperRecords.DataKey, 'wrappedBy' | 'wrapped'> {
  return { wrappedBy, wrapped: encrypt(bytes, key.bytes, aboutKey(key.id)) };
}

function unwrap({ id, wrapped }: keeperRecords.DataKey, wrapper: SecretKey): OpenKey {
  return { id, bytes: decrypt(wrapper.bytes, wrapped, aboutKey(id)) };
}

function aboutKey(id: number): string {
  return `data key ${id}`;
}
