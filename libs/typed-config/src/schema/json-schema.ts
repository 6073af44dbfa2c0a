import { Ajv, type ErrorObject, type Options, type ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { JsonValue } from '../types.js';
import { linearPattern } from './pattern.js';

const OPTIONS: Options = {
  allErrors: true,
  strictSchema: true,
  strictNumbers: true,
  strictTypes: false,
  strictTuples: false,
  // An annotation, as JSON Schema 2020-12 has it.
  validateFormats: false,
  logger: false,
  code: { regExp: Object.assign(linearPattern, { code: 'linearPattern' }) },
};
const FAULTS_MAX = 5;

/** What is wrong with a value, each with its place; empty if nothing is. */
export type JsonCheck = (value: JsonValue) => string[];

/** Compiles JSON Schemas: 2020-12, or draft-07 where `$schema` says so. */
export class JsonSchemas {
  // Each costs milliseconds to make, and most contents need none.
  #ajv2020?: Ajv2020;
  #ajv7?: Ajv;

  /** Throws an Error with the reason if the schema is none. */
  compile(schema: object | boolean): JsonCheck {
    const ajv = this.#ajvFor(schema);
    const validate = ajv.compile(schema);
    // Two keys may bring schemas of one $id.
    ajv.removeSchema(schema);
    return (value) => faultsOf(validate, value);
  }

  #ajvFor(schema: object | boolean): Ajv | Ajv2020 {
    const dialect = typeof schema === 'object' && '$schema' in schema ? schema.$schema : '';
    if (String(dialect).includes('draft-07')) {
      this.#ajv7 ??= new Ajv(OPTIONS);
      return this.#ajv7;
    }
    this.#ajv2020 ??= new Ajv2020(OPTIONS);
    return this.#ajv2020;
  }
}

/** A schema of our own, known to be one. */
export function compileOwn(schema: object): JsonCheck {
  const validate = new Ajv({ ...OPTIONS, meta: false, validateSchema: false }).compile(schema);
  return (value) => faultsOf(validate, value);
}

function faultsOf(validate: ValidateFunction, value: JsonValue): string[] {
  if (validate(value)) return [];
  return (validate.errors ?? []).slice(0, FAULTS_MAX).map(faultText);
}

/** `/http: must be string`, without the value itself. */
function faultText({ instancePath, message = 'is wrong', params }: ErrorObject): string {
  const { additionalProperty, allowedValues } = params;
  const detail = additionalProperty ?? allowedValues?.join(', ');
  const place = instancePath === '' ? '/' : instancePath;
  return `${place}: ${message}${detail === undefined ? '' : `: ${detail}`}`;
}
