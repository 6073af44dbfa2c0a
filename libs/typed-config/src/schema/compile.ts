import { parseJson } from '../json-text.js';
import { ValueError } from '../value-error.js';
import { FILE_SCHEMA, type FileSchema, type KeySchema, type SectionSchema } from './document.js';
import { compileOwn, type JsonCheck, JsonSchemas } from './json-schema.js';
import { compileRule, type KeyRule } from './rule.js';

export type Rules = ReadonlyMap<string, KeyRule>;

/** What holds in a section. */
export interface SectionRules {
  keys: Rules;
  /** Keys without a rule may be. */
  additional: boolean;
}

/** A schema that can be held against values. */
export interface CompiledSchema {
  records: boolean;
  /** What holds where no section says otherwise. */
  file: SectionRules;
  sections: ReadonlyMap<string, SectionRules>;
}

/** The same for everybody, and it takes milliseconds to make: made when first needed. */
let outline: JsonCheck | undefined;

/** A schema as it is written, known to have the right form; throws a ValueError if it has not. */
export function readSchema(text: string): FileSchema {
  outline ??= compileOwn(FILE_SCHEMA);
  const document = parseJson(text);
  const [fault] = outline(document);
  if (fault !== undefined) throw new ValueError(fault);
  return document as FileSchema;
}

/** Compiles schemas; throws a ValueError that says what is wrong and where. */
export class SchemaCompiler {
  readonly #json = new JsonSchemas();

  compile(text: string): CompiledSchema {
    const document = readSchema(text);
    const file = this.#section(document, '');
    const sections = Object.entries(document.sections ?? {}).map(
      ([name, section]): [string, SectionRules] => {
        const own = this.#section(section, `/sections/${name}`);
        const additional = section.additional ?? file.additional;
        return [name, { keys: new Map([...file.keys, ...own.keys]), additional }];
      },
    );
    return { records: document.records ?? false, file, sections: new Map(sections) };
  }

  #section({ keys = {}, additional = true }: SectionSchema, path: string): SectionRules {
    const rules = Object.entries(keys).map(([key, schema]): [string, KeyRule] => [
      key,
      this.#rule(schema, `${path}/keys/${key}`),
    ]);
    return { keys: new Map(rules), additional };
  }

  #rule(schema: KeySchema, path: string): KeyRule {
    try {
      return compileRule(schema, this.#json);
    } catch (error) {
      if (!(error instanceof ValueError)) throw error;
      throw new ValueError(`${path}: ${error.message}`);
    }
  }
}
