/** A W3C trace context begun by us, for producers whose protocol has none of its own. */
export interface Trace {
  /** 32 hex digits. */
  traceId: string;
  /** The `traceparent` header. */
  traceParent: string;
}

/** Begins a trace with ids from `random`. https://www.w3.org/TR/trace-context */
export function beginTrace(random: () => number): Trace {
  const traceId = hex(random, 4);
  return { traceId, traceParent: `00-${traceId}-${hex(random, 2)}-01` };
}

function hex(random: () => number, words: number): string {
  let text = '';
  for (let i = 0; i < words; i++) {
    // All zero is no valid id.
    text += (Math.floor(random() * 0xffffffff) + 1).toString(16).padStart(8, '0');
  }
  return text;
}
