import type { config } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { Files } from './contents.js';
import type { Keyring, OpenKey } from './keyring.js';
import { decrypt, encrypt } from './sealing.js';

const SECRET = 'secret';
const MARK = 'sealed:';
/** `sealed:<id of the data key>:<base64>` */
const SEALED = /^sealed:(\d+):(.+)$/;

/** A content both ways. */
export interface Opened {
  sealed: Files;
  plain: Files;
}

/** Seals the secrets of domains before they are kept, and opens them for who may see them. */
export class Secrets {
  readonly #keyring: Keyring;
  /** Lives as long as the sealed file does in a cache. */
  readonly #plain = new WeakMap<config.ConfigFile, config.ConfigFile>();

  constructor(keyring: Keyring) {
    this.#keyring = keyring;
  }

  /** The files with their secrets as they are; files without any are the same objects. */
  open(domain: string, files: Files): Promise<config.ConfigFile[]> {
    return Promise.all(files.map((file) => this.#openFile(domain, file)));
  }

  /** Seals every secret of `plain`; one that `before` had at the same place keeps its sealed text. */
  async seal(domain: string, plain: Files, before: Opened): Promise<config.ConfigFile[]> {
    const untouched = new Map(before.plain.map((file, at) => [file, before.sealed[at]]));
    const touched = new Set(plain.filter((file) => hasSecrets(file) && !untouched.has(file)));
    if (touched.size === 0) return plain.map((file) => untouched.get(file) ?? file);
    const key = await this.#keyring.newest();
    const known = sealedTexts(before);
    return plain.map((file) => {
      if (!touched.has(file)) return untouched.get(file) ?? file;
      const sealed = mapSecrets(file, (entry, place) => {
        const same = known.get(place);
        return same?.plain === entry.raw ? same.sealed : sealText(key, domain, entry.raw);
      });
      this.#plain.set(sealed, file);
      return sealed;
    });
  }

  async #openFile(domain: string, file: config.ConfigFile): Promise<config.ConfigFile> {
    if (!hasSecrets(file)) return file;
    const cached = this.#plain.get(file);
    if (cached !== undefined) return cached;
    const dataKeys = await this.#keysOf(file);
    const plain = mapSecrets(file, ({ raw }) => openText(dataKeys, domain, raw));
    this.#plain.set(file, plain);
    return plain;
  }

  async #keysOf(file: config.ConfigFile): Promise<Map<number, OpenKey>> {
    const ids = new Set(secretsOf(file).map(({ raw }) => keyIdOf(raw)));
    const found = await Promise.all([...ids].map((id) => this.#keyring.key(id)));
    return new Map(found.map((key) => [key.id, key]));
  }
}

/** The secret entries of a file. */
export function secretsOf(file: config.ConfigFile): config.ConfigEntry[] {
  return file.sections.flatMap(({ entries }) => entries.filter(({ type }) => type === SECRET));
}

function hasSecrets(file: config.ConfigFile): boolean {
  return file.sections.some(({ entries }) => entries.some(({ type }) => type === SECRET));
}

function mapSecrets(
  file: config.ConfigFile,
  change: (entry: config.ConfigEntry, place: string) => string,
): config.ConfigFile {
  const sections = file.sections.map((section) => ({
    ...section,
    entries: section.entries.map((entry) => {
      if (entry.type !== SECRET) return entry;
      return { ...entry, raw: change(entry, placeOf(file, section, entry)) };
    }),
  }));
  return { ...file, sections };
}

function sealedTexts({ sealed, plain }: Opened): Map<string, { plain: string; sealed: string }> {
  const texts = new Map<string, { plain: string; sealed: string }>();
  for (const [at, file] of sealed.entries()) {
    const raws = secretsOf(plain[at] as config.ConfigFile).map(({ raw }) => raw);
    mapSecrets(file, ({ raw }, place) => {
      texts.set(place, { plain: raws.shift() as string, sealed: raw });
      return raw;
    });
  }
  return texts;
}

function placeOf(
  file: config.ConfigFile,
  section: config.ConfigSection,
  entry: config.ConfigEntry,
): string {
  return JSON.stringify([file.path, section.name, entry.key]);
}

function sealText({ id, bytes }: OpenKey, domain: string, text: string): string {
  return `${MARK}${id}:${encrypt(bytes, Buffer.from(text), domain).toString('base64')}`;
}

function openText(dataKeys: Map<number, OpenKey>, domain: string, sealed: string): string {
  const key = dataKeys.get(keyIdOf(sealed)) as OpenKey;
  const bytes = Buffer.from(SEALED.exec(sealed)?.[2] ?? '', 'base64');
  return decrypt(key.bytes, bytes, domain).toString('utf8');
}

function keyIdOf(sealed: string): number {
  const id = SEALED.exec(sealed)?.[1];
  if (id === undefined) throw new BusError('CORRUPT', 'a kept secret is not sealed');
  return Number(id);
}
