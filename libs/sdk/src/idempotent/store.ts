/** Where is kept who works on a key and what is done. All processes must share it. */
export interface Store {
  /** Takes a key that is free, for so long. Undefined: it is yours; else what somebody has put there. */
  claim(key: string, claim: string, leaseMs: number): Promise<string | undefined>;
  /** Puts the result in place of the claim. */
  finish(key: string, value: string, ttlMs: number): Promise<void>;
  /** Frees the key if it still holds this claim. */
  release(key: string, claim: string): Promise<void>;
}
