import { RotatedFile } from '@malabar/command';
import type { keeper } from '@malabar/contracts';
import type { Logger } from '@malabar/telemetry';

/** The file that all runs of a target write their output to. A disk that refuses never stops a run. */
export class CommandOutputFile {
  #file: RotatedFile;
  #isBroken = false;

  constructor(
    private readonly options: keeper.OutputFile,
    private readonly log: Logger,
  ) {
    this.#file = new RotatedFile(options);
  }

  /** A run begins: the disk may be well again. */
  begin(): void {
    if (!this.#isBroken) return;
    this.#isBroken = false;
    this.#file = new RotatedFile(this.options);
  }

  /** A promise means: wait before you give more. */
  write(chunk: Buffer): Promise<void> | undefined {
    if (this.#isBroken) return undefined;
    try {
      return this.#file.write(chunk);
    } catch (error) {
      this.#isBroken = true;
      this.log.error(
        { err: error, file: this.options.path },
        'cannot write the output of commands',
      );
      return undefined;
    }
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
