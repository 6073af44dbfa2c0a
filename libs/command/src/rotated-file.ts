import { once } from 'node:events';
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  renameSync,
  statSync,
  type WriteStream,
} from 'node:fs';
import { dirname } from 'node:path';

export interface RotatedFileOptions {
  path: string;
  /** The file is put aside when it has grown beyond this. */
  bytesMax: number;
  /** Files put aside that are kept, as `<path>.1` (newest) and so on. */
  files: number;
}

/** A file that output is added to, put aside when it is full. */
export class RotatedFile {
  readonly #options: RotatedFileOptions;
  #stream: WriteStream | undefined;
  #bytes = 0;
  #broken: Error | undefined;
  #drained: Promise<void> | undefined;

  constructor(options: RotatedFileOptions) {
    this.#options = options;
  }

  /** Adds a chunk. A promise means: wait before you give more. Throws what the disk says. */
  write(chunk: Buffer): Promise<void> | undefined {
    if (this.#broken) throw this.#broken;
    if (this.#bytes >= this.#options.bytesMax) this.#rotate();
    const stream = this.#open();
    this.#bytes += chunk.length;
    if (stream.write(chunk)) return undefined;
    this.#drained ??= drained(stream);
    return this.#drained;
  }

  /** Resolves when everything is written. */
  async close(): Promise<void> {
    const stream = this.#stream;
    this.#stream = undefined;
    if (stream === undefined || stream.closed) return;
    stream.end();
    await once(stream, 'close');
  }

  #open(): WriteStream {
    if (this.#stream !== undefined) return this.#stream;
    const { path } = this.#options;
    makeFolder(dirname(path));
    this.#bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    const stream = createWriteStream(path, { flags: 'a', mode: 0o640 });
    stream.on('drain', () => {
      if (this.#stream === stream) this.#drained = undefined;
    });
    stream.on('error', (error) => {
      this.#broken = error;
      stream.destroy();
    });
    this.#stream = stream;
    return stream;
  }

  #rotate(): void {
    this.#stream?.end();
    this.#stream = undefined;
    this.#drained = undefined;
    const { path, files } = this.#options;
    for (let number = files - 1; number >= 1; number--)
      move(`${path}.${number}`, `${path}.${number + 1}`);
    if (files >= 1) move(path, `${path}.1`);
    this.#bytes = 0;
  }
}

function drained(stream: WriteStream): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off('drain', done).off('close', done);
      resolve();
    };
    stream.on('drain', done).on('close', done);
  });
}

function move(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

// Only the last one: a path with more that is missing is a mistake (and Node's recursive mkdir
// never ends below /proc).
function makeFolder(folder: string): void {
  if (!existsSync(folder)) mkdirSync(folder);
}
