import type { Socket } from 'node:net';
import { BusError, type Clock, toBusError } from '@malabar/core';
import { type RequestLimits, RequestParser } from '@malabar/resp';
import { errorText } from './error-text.js';
import type { Flusher } from './flusher.js';
import type { IngestMetrics, Protocol } from './metrics.js';

/** Unsent replies beyond this stop the reading of further commands. */
const OUTPUT_BYTES_MAX = 1024 * 1024;
/** Commands that wait for their answer, per connection, beside the limit in bytes. */
const SLOTS_MAX = 10_000;
/** A client that takes none of its replies for so long is cut off. */
export const SLOW_READER_TIMEOUT_MS = 30_000;
/** After our last reply and the end of our side, the client gets this long to close its own. */
const LINGER_MS = 2_000;

/** Memory of commands that have not arrived whole, over all connections. */
export interface GatheringBudget {
  bytes: number;
  bytesMax: number;
}

/** Unfinished commands up to this size are never cut off for the sake of the budget. */
const GATHERED_BYTES_FREE = 64 * 1024;

/** The text of a reply; undefined if it comes later, by a slot or a hold. */
export type Reply = string | undefined;

/** What a dialect of the Redis protocol does with commands. */
export interface Dialect {
  readonly protocol: Protocol;
  /** Handles the command that stands in `connection.parser`; must not throw. */
  command(connection: Connection): Reply;
  /** The client sends no more (it may still read), or has gone. */
  ended?(): void;
}

export interface ConnectionOptions {
  dialect: Dialect;
  limits: Readonly<RequestLimits>;
  flusher: Flusher;
  clock: Clock;
  metrics: IngestMetrics;
  /** Bytes of this connection's jobs that may wait for storage. */
  bytesMax: number;
  /** Shared by all connections: what unfinished commands hold. */
  gathering: GatheringBudget;
  onClosed(): void;
}

/**
 * The place of one reply, or of a run of replies, in a connection's order. The replies of later
 * commands wait behind it.
 */
export class Slot {
  reply: string | undefined;
  /** Bytes in flight that the slot stands for. */
  bytes = 0;

  constructor(readonly connection: Connection) {}

  /** Gives the reply; only the first one counts. */
  resolve(reply: string): void {
    if (this.reply !== undefined) return;
    this.reply = reply;
    this.connection.resolved(this);
  }
}

/** One client: reads its commands under limits, and writes the replies in the commands' order. */
export class Connection {
  readonly parser: RequestParser;
  readonly socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #slots: Slot[] = [];
  #firstSlot = 0;
  #out = '';
  #bytesInFlight = 0;
  #dirty = false;
  /** A command runs that the following ones must wait for. */
  #held = false;
  #holdWaiting: (() => void) | undefined;
  #writeBlocked = false;
  #gatheredBytes = 0;
  /** Commands that have arrived are left unread. */
  #stopped = false;
  /** What arrived after that. */
  #stash: Buffer | undefined;
  #inputEnded = false;
  /** No further command is read; the end is written once all replies are. */
  #ending = false;
  #cancelSlowReader: (() => void) | undefined;

  constructor(socket: Socket, options: ConnectionOptions) {
    this.socket = socket;
    this.#options = options;
    this.parser = new RequestParser(options.limits);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 60_000);
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('drain', () => this.#onDrain());
    socket.on('end', () => this.#onEnd());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#onClose());
  }

  /** The newest slot, if nothing was replied after it: a run of pushes may be extended. */
  get lastSlot(): Slot | undefined {
    return this.#slots.length > this.#firstSlot ? this.#slots[this.#slots.length - 1] : undefined;
  }

  get closed(): boolean {
    return this.socket.destroyed;
  }

  /** Replies to the present command at once (behind what earlier commands still wait for). */
  reply(text: string): void {
    if (this.#slots.length === this.#firstSlot) {
      this.#out += text;
      return;
    }
    const slot = new Slot(this);
    slot.reply = text;
    this.open(slot, text.length);
  }

  /** Takes the place of a reply that comes later; `bytes` count as in flight until then. */
  open(slot: Slot, bytes: number): void {
    this.#slots.push(slot);
    this.charge(slot, bytes);
  }

  /** More bytes in flight for an open slot. */
  charge(slot: Slot, bytes: number): void {
    slot.bytes += bytes;
    this.#bytesInFlight += bytes;
  }

  /** Runs `work` once all earlier replies are there; later commands wait until its reply is. */
  hold(work: () => Promise<string>): undefined {
    this.#held = true;
    const run = (): void => {
      work()
        .catch((error) => errorText(toBusError(error)))
        .then((reply) => {
          this.#held = false;
          this.reply(reply);
          this.#goOn();
        });
    };
    if (this.lastSlot === undefined) run();
    else this.#holdWaiting = run;
    return undefined;
  }

  /** Reads no more commands; closes once everything before is answered. */
  end(): void {
    this.#ending = true;
    this.#touch();
  }

  /** Called by a slot whose reply has come. */
  resolved(slot: Slot): void {
    this.#bytesInFlight -= slot.bytes;
    slot.bytes = 0;
    this.#touch();
  }

  /** Writes what can be written; called by the flusher. */
  flush(): void {
    this.#dirty = false;
    this.#collect();
    if (this.#holdWaiting && this.lastSlot === undefined) {
      const run = this.#holdWaiting;
      this.#holdWaiting = undefined;
      run();
    }
    this.#write();
    if (this.#stopped && !this.#ending && !this.#blocked(2)) this.#goOn();
    if (this.#ending && !this.#held && this.lastSlot === undefined) this.#finish();
  }

  #touch(): void {
    if (this.#dirty) return;
    this.#dirty = true;
    this.#options.flusher.add(this);
  }

  #onData(chunk: Buffer): void {
    if (this.#ending) return;
    if (this.#stopped) {
      this.#stash = chunk;
      this.socket.pause();
      return;
    }
    this.parser.feed(chunk);
    this.#read();
    this.#accountGathering();
    this.#write();
  }

  #onEnd(): void {
    this.#inputEnded = true;
    this.#options.dialect.ended?.();
    if (!this.#stopped) this.end();
  }

  #accountGathering(): void {
    const { gathering } = this.#options;
    const now = this.parser.bufferedBytes;
    if (now === this.#gatheredBytes) return;
    gathering.bytes += now - this.#gatheredBytes;
    this.#gatheredBytes = now;
    if (now <= GATHERED_BYTES_FREE || gathering.bytes <= gathering.bytesMax) return;
    const text = 'too many unfinished commands are held in memory';
    this.reply(errorText(new BusError('BUSY', text)));
    this.end();
  }

  #read(): void {
    const { parser } = this;
    const { dialect } = this.#options;
    while (!this.#ending && !this.#blocked(1)) {
      if (parser.next()) {
        const reply = dialect.command(this);
        if (reply !== undefined) this.reply(reply);
      } else if (parser.protocolError !== undefined) {
        this.reply(`-${parser.protocolError}\r\n`);
        this.end();
        return;
      } else if (this.#stash === undefined) {
        this.#resume();
        return;
      } else {
        parser.feed(this.#stash);
        this.#stash = undefined;
      }
    }
    this.#stop();
  }

  /** `divisor` 2: not yet below half of the limits, so that we do not stop and go for each command. */
  #blocked(divisor: 1 | 2): boolean {
    return (
      this.#held ||
      this.#writeBlocked ||
      this.#bytesInFlight > this.#options.bytesMax / divisor ||
      this.#slots.length - this.#firstSlot > SLOTS_MAX / divisor ||
      this.#out.length > OUTPUT_BYTES_MAX / divisor
    );
  }

  /** While a command is held we go on listening, to notice when its client leaves. */
  #stop(): void {
    this.#stopped = true;
    if (!this.#held) this.socket.pause();
    if (this.#out.length > OUTPUT_BYTES_MAX / 2) this.#touch();
  }

  #resume(): void {
    if (!this.#stopped) return;
    this.#stopped = false;
    if (this.#inputEnded) this.end();
    else this.socket.resume();
  }

  #goOn(): void {
    if (this.#stopped && !this.#ending) this.#read();
    this.#touch();
  }

  /** Moves the replies that are next in order to the output. */
  #collect(): void {
    const slots = this.#slots;
    let first = this.#firstSlot;
    let out = this.#out;
    for (; first < slots.length; first++) {
      const reply = (slots[first] as Slot).reply;
      if (reply === undefined) break;
      out += reply;
    }
    this.#out = out;
    this.#firstSlot = first;
    if (first === slots.length) {
      slots.length = 0;
      this.#firstSlot = 0;
    } else if (first > SLOTS_MAX / 10) {
      slots.splice(0, first);
      this.#firstSlot = 0;
    }
  }

  #write(): void {
    const out = this.#out;
    if (out === '' || this.socket.destroyed) return;
    this.#out = '';
    this.socket.write(out, 'latin1');
    if (this.socket.writableLength <= OUTPUT_BYTES_MAX || this.#writeBlocked) return;
    this.#writeBlocked = true;
    this.#cancelSlowReader = this.#options.clock.after(SLOW_READER_TIMEOUT_MS, () =>
      this.#cutOff(),
    );
  }

  #cutOff(): void {
    this.#options.metrics.slowReaderClosed(this.#options.dialect.protocol);
    this.socket.destroy();
  }

  #onDrain(): void {
    if (!this.#writeBlocked) return;
    this.#writeBlocked = false;
    this.#cancelSlowReader?.();
    this.#cancelSlowReader = undefined;
    this.#touch();
  }

  #finish(): void {
    this.#write();
    this.socket.end();
    // A peer that never closes its side would keep the descriptor for ever.
    const { clock } = this.#options;
    this.#cancelSlowReader ??= clock.after(LINGER_MS, () => this.socket.destroy());
    this.socket.resume();
  }

  #onClose(): void {
    this.#ending = true;
    this.#options.gathering.bytes -= this.#gatheredBytes;
    this.#cancelSlowReader?.();
    this.#options.dialect.ended?.();
    this.#options.onClosed();
  }
}
