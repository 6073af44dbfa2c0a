export { type AppliedOperations, applyOperations } from './apply.js';
export { diffFiles, type SameValue } from './diff.js';
export { checksumOf, type EffectiveRequest, effective } from './effective.js';
export { faultAt, type Place } from './fault.js';
export { generate, LANGUAGES, type Language } from './generate/generate.js';
export type { GeneratedFile, GenerateOptions } from './generate/source.js';
export { formatIni } from './ini/format.js';
export { type ParsedIni, parseIni } from './ini/parse.js';
export { type ContentLimits, limitFaults } from './limits.js';
export { isSecret, MASK, maskEntry, maskFiles } from './mask.js';
export {
  baseName,
  DEFAULT_SECTION,
  domainFault,
  keyFault,
  pathFault,
  sectionFault,
} from './names.js';
export { parseSubscription } from './subscription.js';
export {
  canonicalType,
  type JsonValue,
  TYPE_NAMES,
  type TypedValue,
  type TypedValues,
  type TypeName,
} from './types.js';
export { reviewFiles, validateFiles } from './validate.js';
export { ValueError } from './value-error.js';
export { parseValue, toJson, valueFault } from './values.js';
