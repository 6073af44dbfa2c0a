import type { ChannelOptions } from '@grpc/grpc-js';

/** The largest message, bytes: a batch of jobs at their largest, with room. */
export const MESSAGE_BYTES_MAX = 32 * 1024 * 1024;

/** What both ends of every connection agree on. */
export const CONNECTION_OPTIONS: ChannelOptions = {
  'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
  'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
  // Nobody looks at the books that grpc-js would keep of each connection and message.
  'grpc.enable_channelz': 0,
  // A peer that is gone without a word is noticed after the sum of both.
  'grpc.keepalive_time_ms': 15_000,
  'grpc.keepalive_timeout_ms': 10_000,
};
