/** What all generated modules share: `source.ts`. */
export const TS_SOURCE = `/** Where values come from: the view that a client of the keeper hands to onChange. */
export interface ValueSource {
  values(): Iterable<{ readonly file: string }>;
  find(
    file: string,
    key: string,
    section?: string,
  ): { readonly type: string; readonly value: unknown } | undefined;
}

/** Reads the values of one file and notes everything that is wrong with them. */
export class Values {
  readonly #faults: string[] = [];
  readonly #source: ValueSource;
  readonly #file: string;
  readonly #section: string;

  constructor(source: ValueSource, file: string, section: string) {
    this.#source = source;
    this.#file = file;
    this.#section = section;
  }

  /** A value that is there, or has a default. */
  get<T>(type: string, key: string, fallback?: T): T {
    const isMissing = this.#source.find(this.#file, key, this.#section) === undefined;
    if (isMissing && fallback === undefined) this.#faults.push(\`key '\${key}' is missing\`);
    return (isMissing ? fallback : this.optional<T>(type, key)) as T;
  }

  /** A value that need not be there. */
  optional<T>(type: string, key: string): T | undefined {
    const found = this.#source.find(this.#file, key, this.#section);
    if (found === undefined || found.type === type) return found?.value as T | undefined;
    this.#faults.push(\`key '\${key}' is of type \${found.type}, not \${type}\`);
    return undefined;
  }

  /** A duration; its default is in nanoseconds like itself. */
  milliseconds(key: string, fallback?: bigint): number {
    return Number(this.get<bigint>('time.Duration', key, fallback)) / 1e6;
  }

  optionalMilliseconds(key: string): number | undefined {
    const nanoseconds = this.optional<bigint>('time.Duration', key);
    return nanoseconds === undefined ? undefined : Number(nanoseconds) / 1e6;
  }

  /** The values, if nothing was wrong with any of them. */
  checked<T>(values: T): T {
    if (this.#faults.length === 0) return values;
    const place = this.#section === '' ? this.#file : \`\${this.#file} [\${this.#section}]\`;
    throw new Error(\`\${place}: \${this.#faults.join('; ')}\`);
  }
}

/** A struct that an update has brought. */
export function present<T>(name: string, struct: T | undefined): T {
  if (struct === undefined) throw new Error(\`\${name} is not subscribed, or has no values yet\`);
  return struct;
}
`;
