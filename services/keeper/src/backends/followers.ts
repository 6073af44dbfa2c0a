import type { KeyChange, Watcher } from '../backend.js';

interface Follower {
  prefix: string;
  watcher: Watcher;
}

/** Those who watch a backend that makes all changes itself. */
export class Followers {
  readonly #followers = new Set<Follower>();

  add(prefix: string, watcher: Watcher): () => void {
    const follower = { prefix, watcher };
    this.#followers.add(follower);
    return () => void this.#followers.delete(follower);
  }

  /** Tells each what one commit has changed below its prefix. */
  tell(changes: readonly KeyChange[], revision: number): void {
    for (const { prefix, watcher } of [...this.#followers]) {
      const own = changes.filter(({ key }) => key.startsWith(prefix));
      if (own.length > 0) watcher.changed(own, revision);
    }
  }

  clear(): void {
    this.#followers.clear();
  }
}
