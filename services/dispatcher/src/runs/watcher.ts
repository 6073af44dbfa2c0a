import type { dispatcher } from '@malabar/contracts';
import { Channel } from '@malabar/core';

/** Output that waits for one watcher; what comes on top of it is left out and counted. */
const WAITING_BYTES_MAX = 256 * 1024;

type Piece = dispatcher.WatchRunResponse;

/** Somebody who watches a run. A slow one misses output; neither the run nor others wait for him. */
export class Watcher {
  readonly #pieces: Channel<Piece>;
  #waiting = 0;
  #leftOut = 0;

  /** `onGone` is called when he stops to watch before the end. */
  constructor(onGone: (watcher: Watcher) => void) {
    this.#pieces = new Channel(() => onGone(this));
  }

  push(output: Uint8Array): void {
    if (this.#waiting > 0 && this.#waiting + output.length > WAITING_BYTES_MAX) {
      this.#leftOut += output.length;
      return;
    }
    this.#waiting += output.length;
    this.#send(output, undefined);
  }

  end(ended: dispatcher.Run): void {
    this.#send(new Uint8Array(), ended);
    this.#pieces.end();
  }

  async *pieces(): AsyncGenerator<Piece, void, undefined> {
    for await (const piece of this.#pieces) {
      yield piece;
      this.#waiting -= piece.output.length;
    }
  }

  #send(output: Uint8Array, ended: dispatcher.Run | undefined): void {
    this.#pieces.push({ leftOut: this.#leftOut, output, ended });
    this.#leftOut = 0;
  }
}
