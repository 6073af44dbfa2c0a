export { type InlineArguments, splitInline } from './inline.js';
export { defaultRequestLimits, INLINE_BYTES_MAX, type RequestLimits } from './limits.js';
export { type ReplyEncoder, replyEncoder } from './reply.js';
export { RequestParser } from './request-parser.js';
