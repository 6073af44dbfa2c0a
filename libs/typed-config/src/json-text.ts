import type { JsonValue } from './types.js';
import { ValueError } from './value-error.js';

const WORD = /true|false|null/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const STRING = /"[ !#-[\]-\uffff]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[ !#-[\]-\uffff]*)*"/y;
const SPACE = /[ \t\n\r]*/y;

/** The value of a JSON text. An empty one is null: gokeeper takes it and leaves the field empty. */
export function parseJson(raw: string): JsonValue {
  if (raw.trim() === '') return null;
  try {
    return JSON.parse(raw);
  } catch {
    throw new ValueError(jsonFault(raw));
  }
}

/** Where the JSON value that begins at `start` ends; undefined if none does. */
export function jsonEnd(text: string, start: number): number | undefined {
  const scan = new JsonScan(text, start);
  return scan.value() ? scan.at : undefined;
}

/** What is wrong and where, without a word of the text itself: it may hold what nobody should read. */
function jsonFault(text: string): string {
  const scan = new JsonScan(text, 0);
  if (scan.value()) scan.space();
  const before = text.slice(0, scan.at);
  const line = before.split('\n').length;
  const column = scan.at - before.lastIndexOf('\n');
  const what = scan.at >= text.length ? 'the text ends too early' : 'this is not expected';
  return `not JSON: line ${line}, column ${column}: ${what}`;
}

/** Walks over one JSON value; after a failure `at` is where it failed. No recursion, no depth limit. */
class JsonScan {
  constructor(
    readonly text: string,
    public at: number,
  ) {}

  /** Steps over space, a value, and nothing behind it. */
  value(): boolean {
    const open: string[] = [];
    do {
      if (!this.opened(open)) return false;
      if (!this.closed(open)) return false;
    } while (open.length > 0);
    return true;
  }

  space(): void {
    this.skip(SPACE);
  }

  /** Steps to the end of the next scalar or empty container, noting what it opens on the way. */
  private opened(open: string[]): boolean {
    for (;;) {
      this.space();
      if (open.at(-1) === '}' && !this.name()) return false;
      const bracket = this.text[this.at];
      if (bracket !== '{' && bracket !== '[') return this.scalar();
      this.at += 1;
      this.space();
      const close = bracket === '{' ? '}' : ']';
      if (this.text[this.at] === close) {
        this.at += 1;
        return true;
      }
      open.push(close);
    }
  }

  /** Behind a value: closes containers until a comma asks for the next value. */
  private closed(open: string[]): boolean {
    while (open.length > 0) {
      this.space();
      const next = this.text[this.at];
      if (next !== ',' && next !== open.at(-1)) return false;
      this.at += 1;
      if (next === ',') return true;
      open.pop();
    }
    return true;
  }

  private name(): boolean {
    if (!this.skip(STRING)) return false;
    this.space();
    if (this.text[this.at] !== ':') return false;
    this.at += 1;
    this.space();
    return true;
  }

  private scalar(): boolean {
    return this.skip(STRING) || this.skip(NUMBER) || this.skip(WORD);
  }

  private skip(pattern: RegExp): boolean {
    pattern.lastIndex = this.at;
    if (!pattern.test(this.text)) return false;
    this.at = pattern.lastIndex;
    return true;
  }
}
