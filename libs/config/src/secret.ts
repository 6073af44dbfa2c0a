import { readFileSync } from 'node:fs';

/** Variables of a process, as in `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * A secret of the config that no log, message or dump can show: its text leaves only through
 * `reveal`. Written inline, or as `{ secret: file:/path }` or `{ secret: env:NAME }`; in a document
 * that the keeper holds as `{ "secret": "keeper:<key>" }`.
 */
export class Secret {
  /** `inline`, `file:/path`, `env:NAME` or `keeper:<key>`: safe to show. */
  readonly source: string;
  readonly #text: string | undefined;

  private constructor(source: string, text?: string) {
    this.source = source;
    this.#text = text;
  }

  static inline(text: string): Secret {
    return new Secret('inline', text);
  }

  static reference(source: string): Secret {
    return new Secret(source);
  }

  /** The text. Throws an Error that names the source if there is none or it is empty. */
  reveal(env: Environment = {}): string {
    if (this.#text !== undefined) return this.#text;
    const text = this.source.startsWith('file:') ? this.#read() : env[this.source.slice(4)];
    if (text === undefined) throw new Error(`the variable of ${this.source} is not set`);
    if (text === '') throw new Error(`the secret of ${this.source} is empty`);
    return text;
  }

  /** A secret that the keeper holds under `key`. */
  static kept(key: string, text: string): Secret {
    return new Secret(`keeper:${key}`, text);
  }

  equals(other: Secret): boolean {
    return this.source === other.source && this.#text === other.#text;
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  #read(): string {
    try {
      // Editors end a file with a newline that nobody means as part of the password.
      return readFileSync(this.source.slice(5), 'utf8').replace(/\r?\n$/, '');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      throw new Error(`the secret of ${this.source} cannot be read: ${code ?? 'unknown reason'}`);
    }
  }
}
