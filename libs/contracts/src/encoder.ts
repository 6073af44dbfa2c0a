import { BinaryWriter } from '@bufbuild/protobuf/wire';

/** What can be encoded: the codec of a message. */
interface Codec<Message> {
  encode(message: Message, writer?: BinaryWriter): BinaryWriter;
}

/** A writer that has grown beyond this is not kept. */
const KEPT_BYTES_MAX = 64 * 1024;

/**
 * Encodes messages one after the other in the same scratch memory: a writer of its own for each small
 * message costs more than the message.
 */
export class Encoder {
  #writer: BinaryWriter | undefined;

  /** The message as bytes of its own. */
  encode<Message>(codec: Codec<Message>, message: Message): Uint8Array {
    const writer = this.#writer ?? new BinaryWriter();
    // What a message that cannot be encoded leaves behind must not begin the next one.
    this.#writer = undefined;
    const bytes = codec.encode(message, writer).finish();
    if (bytes.length <= KEPT_BYTES_MAX) this.#writer = writer;
    return bytes;
  }
}
