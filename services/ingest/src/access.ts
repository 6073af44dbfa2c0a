import type { keeper } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { Credentials } from './credentials.js';
import type { Intake, IntakeQueue } from './intake.js';

/** A queue or one of its topics, as a producer or consumer names it. */
export interface Place {
  queue: string;
  topic?: string;
}

/** `queue` or `queue/topic`. */
export function parsePlace(text: string): Place {
  const slash = text.indexOf('/');
  if (slash < 0) return { queue: text };
  return { queue: text.slice(0, slash), topic: text.slice(slash + 1) };
}

/** Who may do what. */
export interface AccessRules {
  intake: Intake;
  credentials: Credentials;
}

/**
 * What one connection (or call) has proven to be. An identity is `queue` or `queue/topic` and holds
 * only as long as the password that proved it is the configured one.
 */
export class Access {
  readonly #proven = new Map<string, string>();

  constructor(
    readonly rules: AccessRules,
    /** Queues without a password are open here: a loopback listener, or `insecure`. */
    readonly open: boolean,
  ) {}

  /**
   * Proves an identity with its password. False: unknown or wrong. A queue without a password takes
   * any on an open listener, because there anybody may use it anyway.
   */
  login(identity: string, password: string): boolean | Promise<boolean> {
    const hash = this.#hashOf(parsePlace(identity));
    if (hash === undefined) return false;
    if (hash === '') return this.open && this.#prove(identity, hash);
    const right = this.rules.credentials.check(password, hash);
    if (typeof right === 'boolean') return right && this.#prove(identity, hash);
    return right.then((yes) => yes && this.#prove(identity, hash));
  }

  /** Takes all identities away. */
  reset(): void {
    this.#proven.clear();
  }

  /** The identity is proven and its password still stands. */
  is(identity: string): boolean {
    const hash = this.#proven.get(identity);
    return hash !== undefined && hash === this.#hashOf(parsePlace(identity));
  }

  /** Why this connection must not push to the queue; undefined if it may. */
  pushRefusal(queue: IntakeQueue): BusError | undefined {
    const hash = queue.config?.passwordHash;
    if (hash === '' && this.open) return undefined;
    if (this.is(queue.name)) return undefined;
    return unproven(queue.name, hash === '');
  }

  /** Why this connection must not fetch from or settle in the topic; undefined if it may. */
  fetchRefusal(queue: IntakeQueue, topic: string): BusError | undefined {
    const name = `${queue.name}/${topic}`;
    const config = topicOf(queue, topic);
    if (config === undefined) {
      return new BusError('UNKNOWN_TOPIC', `topic ${JSON.stringify(name)} is not configured`);
    }
    if (this.is(name)) return undefined;
    if (config.passwordHash === '') return this.pushRefusal(queue);
    return unproven(name, false);
  }

  #prove(identity: string, hash: string): true {
    this.#proven.set(identity, hash);
    return true;
  }

  /** The password hash that stands for a place; undefined if there is no such place. */
  #hashOf(place: Place): string | undefined {
    const queue = this.rules.intake.find(place.queue);
    if (queue?.config === undefined) return undefined;
    if (place.topic === undefined) return queue.config.passwordHash;
    const topic = topicOf(queue, place.topic);
    return topic && (topic.passwordHash || queue.config.passwordHash);
  }
}

/** The topic's document. */
export function topicOf(queue: IntakeQueue, topic: string): keeper.TopicConfig | undefined {
  return queue.config?.topics.find((each) => each.name === topic);
}

function unproven(name: string, withoutPassword: boolean): BusError {
  const text = withoutPassword
    ? `${name} has no password, so it is open on loopback only`
    : `Authentication required: AUTH ${name} <password>`;
  return new BusError('UNAUTHENTICATED', text);
}
