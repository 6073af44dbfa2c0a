/** The longest time that a timer takes. */
const FOREVER_MS = 2 ** 31 - 1;

/** Keeps the process alive while somebody holds it: timers and sockets of ours alone do not. */
export class KeepAlive {
  #holders = 0;
  #timer: NodeJS.Timeout | undefined;

  hold(): void {
    if (this.#holders++ === 0) this.#timer = setInterval(() => {}, FOREVER_MS);
  }

  release(): void {
    if (--this.#holders === 0) clearInterval(this.#timer);
  }
}
