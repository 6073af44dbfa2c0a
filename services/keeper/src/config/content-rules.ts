import type { config } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { type ContentLimits, limitFaults, MASK, validateFiles } from '@malabar/typed-config';
import type { Files } from './contents.js';
import { CONTENT_BYTES_MAX } from './limits.js';
import { secretsOf } from './secrets.js';

const SHOWN_MAX = 20;
/** A shorter text stands in too many words that tell nothing of a secret. */
const TELLING_CHARS_MIN = 4;

/** What is wrong with a content; its secrets are as they are. Must not throw. */
export type Validate = (files: Files) => config.ConfigFault[];

/**
 * Puts an edited content into the form in which it is kept, e.g. a password as its hash. Files that it
 * leaves alone stay the same objects. Must not throw.
 */
export type Normalize = (files: Files, before: Files) => Promise<Files>;

/** What a content must be like before it becomes a release. */
export class ContentRules {
  readonly #limits: ContentLimits;
  readonly #validators = new Map<string, Validate[]>();
  readonly #normalizers = new Map<string, Normalize>();

  constructor(limits: ContentLimits) {
    this.#limits = limits;
  }

  /** Adds a rule for one domain. */
  add(domain: string, validate: Validate): void {
    this.#validators.set(domain, [...(this.#validators.get(domain) ?? []), validate]);
  }

  /** Whether a content is larger than a domain may be. */
  sizeFaults(files: Files): config.ConfigFault[] {
    return [...totalFaults(files), ...limitFaults(files, this.#limits)];
  }

  /** Sets the form in which the contents of one domain are kept. */
  setForm(domain: string, normalize: Normalize): void {
    this.#normalizers.set(domain, normalize);
  }

  /** An edited content in the form of its domain. */
  async normalized(domain: string, files: Files, before: Files): Promise<Files> {
    return (await this.#normalizers.get(domain)?.(files, before)) ?? files;
  }

  /** What is wrong with a content, without any text of its secrets. */
  faults(domain: string, files: Files): config.ConfigFault[] {
    const general = [...totalFaults(files), ...validateFiles(files, this.#limits)];
    const own = this.#validators.get(domain) ?? [];
    // A domain's own rules may count on values that parse.
    const found = general.length > 0 ? general : own.flatMap((validate) => validate(files));
    return withoutSecrets(found, files);
  }
}

/** Throws INVALID with what is wrong, if anything is. */
export function throwFaults(faults: readonly config.ConfigFault[]): void {
  if (faults.length === 0) return;
  const shown = faults.slice(0, SHOWN_MAX).map(faultText);
  const more = faults.length - shown.length;
  const lines = more > 0 ? [...shown, `and ${more} more`] : shown;
  throw new BusError('INVALID', lines.join('\n'));
}

/** `/redis.conf [DEFAULT] timeout, line 3: "soon" is not a duration` */
export function faultText({ file, section, key, line, message }: config.ConfigFault): string {
  const place = [file, section && `[${section}]`, key].filter((part) => part !== '').join(' ');
  const where = line === 0 ? place : `${place}${place && ', '}line ${line}`;
  return where === '' ? message : `${where}: ${message}`;
}

function totalFaults(files: Files): config.ConfigFault[] {
  let bytes = 0;
  for (const { schema, sections } of files) {
    bytes += Buffer.byteLength(schema);
    for (const { entries } of sections)
      for (const { key, raw } of entries) bytes += key.length + Buffer.byteLength(raw);
  }
  if (bytes <= CONTENT_BYTES_MAX) return [];
  const message = `${bytes} bytes in all; a domain may have ${CONTENT_BYTES_MAX}`;
  return [{ file: '', section: '', key: '', line: 0, message }];
}

/** Rules see plain secrets; what they say is for everybody's eyes. */
function withoutSecrets(faults: config.ConfigFault[], files: Files): config.ConfigFault[] {
  if (faults.length === 0) return faults;
  const texts = files
    .flatMap(secretsOf)
    .map(({ raw }) => raw)
    .filter(({ length }) => length >= TELLING_CHARS_MIN);
  return faults.map((fault) => ({
    ...fault,
    message: texts.reduce((message, text) => message.replaceAll(text, MASK), fault.message),
  }));
}
