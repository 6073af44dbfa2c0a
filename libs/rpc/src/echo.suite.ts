import { BusError } from '@malabar/core';
import type { CallContext, Implementation } from './definition.js';

/** A message of the test's own contract. */
export interface Note {
  text: string;
  number: number;
}

const Note = {
  encode: (note: Note) => ({ finish: (): Uint8Array => Buffer.from(JSON.stringify(note)) }),
  decode: (bytes: Uint8Array): Note => JSON.parse(Buffer.from(bytes).toString()),
};

const method = <N extends string, Q extends boolean, R extends boolean>(
  name: N,
  requestStream: Q,
  responseStream: R,
) => ({ name, requestType: Note, requestStream, responseType: Note, responseStream });

/** One method of each kind, in the form of ts-proto's generic definitions. */
export const EchoDefinition = {
  name: 'EchoService',
  fullName: 'malabar.test.v1.EchoService',
  methods: {
    one: method('One', false, false),
    sum: method('Sum', true, false),
    count: method('Count', false, true),
    chat: method('Chat', true, true),
  },
} as const;

export type EchoDefinition = typeof EchoDefinition;

export const note = (number: number, text = ''): Note => ({ number, text });

/** What an implementation has seen of its last call. */
export interface Sightings {
  context?: CallContext;
  /** Messages that it has taken or given. */
  messages: number;
  /** It has come to its end. */
  left?: boolean;
}

/** Says back what it hears; a test may replace single methods. */
export function echo(
  seen: Sightings,
  replaced: Partial<Implementation<EchoDefinition>> = {},
): Implementation<EchoDefinition> {
  return {
    async one(request, context) {
      seen.context = context;
      return request;
    },
    async sum(requests, context) {
      seen.context = context;
      let total = 0;
      for await (const { number } of requests) total += number;
      return note(total);
    },
    async *count({ number }, context) {
      seen.context = context;
      for (let at = 1; at <= number; at++) {
        seen.messages++;
        yield note(at);
      }
    },
    async *chat(requests, context) {
      seen.context = context;
      for await (const request of requests) {
        seen.messages++;
        yield request;
      }
    },
    ...replaced,
  };
}

/** Never ends by itself; ends with the call. */
export function untilAborted({ signal }: CallContext): Promise<never> {
  return new Promise((_, reject) => {
    const end = () => reject(new BusError('STALE_LEASE', 'the implementation has noticed'));
    if (signal.aborted) end();
    else signal.addEventListener('abort', end);
  });
}
