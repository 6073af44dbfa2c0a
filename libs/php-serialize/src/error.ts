/** Bytes that are not what `serialize()` writes, or hold what we do not take; says where. */
export class PhpSerializeError extends Error {
  override readonly name = 'PhpSerializeError';

  constructor(
    reason: string,
    /** The byte, counted from 0, that cannot stay as it is. */
    readonly offset: number,
  ) {
    super(`PHP-serialized: ${reason}, at byte ${offset}`);
  }
}
