export { PhpSerializeError } from './error.js';
export {
  defaultPhpLimits,
  type PhpLimits,
  type PhpValue,
  parsePhpSerialized,
} from './parse.js';
