import { MalabarError } from './errors.js';

const VERSION = 1;
/** What an envelope has. Results (docs/formats.md) name a version and an event, too. */
const KEYS = ['v', 'event', 'params'];

/** An event as it comes to a task. */
export interface Envelope {
  event: string;
  params: unknown;
}

/** The body of a published event, the same in every language. */
export function writeEnvelope(event: string, params: object): Uint8Array {
  return Buffer.from(JSON.stringify({ v: VERSION, event, params }));
}

/**
 * What a body says. One that is no envelope is an event named as its queue: a JSON object or list is
 * its parameters, anything else its parameter `body`.
 */
export function readEnvelope(bytes: Uint8Array, queue: string): Envelope {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
  const found = parsed(text);
  if (found === undefined) return { event: queue, params: { body: text } };
  const { v, event, params } = found as { v?: unknown; event?: unknown; params?: unknown };
  if (v === undefined || v === null || typeof event !== 'string') {
    return { event: queue, params: found };
  }
  if (v !== VERSION) {
    const version = JSON.stringify(v);
    const message = `event ${event} has version ${version}; this @malabar/sdk knows ${VERSION}`;
    throw new MalabarError('UNSUPPORTED', message);
  }
  if (Object.keys(found).some((key) => !KEYS.includes(key))) return { event: queue, params: found };
  return { event, params: params ?? {} };
}

function parsed(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
