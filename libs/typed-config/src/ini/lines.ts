/** The lines of a text, one after the other. */
export class Lines {
  private readonly lines: readonly string[];
  private taken = 0;

  constructor(text: string) {
    this.lines = text.split('\n');
  }

  /** Number of the line that was taken last; the first is 1. */
  get number(): number {
    return this.taken;
  }

  /** The next line without its end; undefined behind the last. */
  take(): string | undefined {
    const line = this.lines[this.taken];
    if (line !== undefined) this.taken += 1;
    return line;
  }

  /** The next line, which stays the next. */
  peek(): string | undefined {
    return this.lines[this.taken];
  }
}

/** What makes a line unreadable; the reader turns it into a fault with the line's number. */
export class IniError extends Error {
  override readonly name = 'IniError';
}
