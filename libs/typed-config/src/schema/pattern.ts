import { RE2JS } from 're2js';

/** With what RE2 bounds itself (1,000 repetitions), neither reading nor matching one takes long. */
const LENGTH_MAX = 1_000;

/** An expression that can be asked of any text. */
export interface Pattern {
  test(text: string): boolean;
}

/**
 * A regular expression of a schema, which its author may have got wrong or worse: matched in time that
 * grows with the text alone. So there is neither look-around nor a reference back. Throws an Error
 * with the reason for what is none.
 */
export function linearPattern(pattern: string): Pattern {
  if (pattern.length > LENGTH_MAX)
    throw new Error(`an expression of ${pattern.length} characters; at most ${LENGTH_MAX}`);
  try {
    // JavaScript's own spelling of escapes and of named groups.
    return RE2JS.compile(RE2JS.translateRegExp(pattern));
  } catch (error) {
    const reason = (error as Error).message.replace(/^error parsing regexp: /, '');
    throw new Error(`not an expression of RE2: ${reason}`);
  }
}
