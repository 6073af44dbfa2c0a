import type { config } from '@malabar/contracts';

interface Cached {
  file: config.ConfigFile;
  bytes: number;
}

/** Decoded files by the hash of their content, those used last; bounded by their encoded size. */
export class FileCache {
  readonly #bytesMax: number;
  readonly #files = new Map<string, Cached>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(id: string): config.ConfigFile | undefined {
    const cached = this.#files.get(id);
    if (cached === undefined) return undefined;
    // The order of a Map is the order of its insertions.
    this.#files.delete(id);
    this.#files.set(id, cached);
    return cached.file;
  }

  set(id: string, file: config.ConfigFile, bytes: number): void {
    this.#bytes += bytes - (this.#files.get(id)?.bytes ?? 0);
    this.#files.delete(id);
    this.#files.set(id, { file, bytes });
    for (const [oldest, cached] of this.#files) {
      if (this.#bytes <= this.#bytesMax) return;
      this.#files.delete(oldest);
      this.#bytes -= cached.bytes;
    }
  }
}
