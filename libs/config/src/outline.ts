import * as z from 'zod';
import { isLater } from './schema.js';

/** One key of the schema: what the reference page lists and what the environment can set. */
export interface Entry {
  /** Keys as the file spells them; `<name>` stands for a name that the user chooses. */
  path: string[];
  type: string;
  about: string;
  /** As one would write it, undefined if there is none. */
  fallback: unknown;
  required: boolean;
  later: boolean;
}

/** Every leaf of a schema, in the order of its definition. */
export function outline(schema: z.ZodType, path: string[] = []): Entry[] {
  const { inner, about, fallback, optional } = unwrap(schema);
  if (inner instanceof z.ZodObject) {
    const fields = Object.entries(inner.shape as Record<string, z.ZodType>);
    return fields.flatMap(([key, field]) =>
      isLater(field) ? [{ ...LATER, path: [...path, key] }] : outline(field, [...path, key]),
    );
  }
  if (inner instanceof z.ZodRecord)
    return outline(inner.valueType as z.ZodType, [...path, '<name>']);
  const type = (z.globalRegistry.get(inner)?.type as string | undefined) ?? '';
  const required = fallback === undefined && !optional && path.at(-1) !== '<name>';
  return [{ path, type, about, fallback, required, later: false }];
}

const LATER = {
  type: '',
  about: 'Not supported yet: using it is a fault.',
  fallback: undefined,
  required: false,
  later: true,
};

interface Unwrapped {
  inner: z.ZodType;
  about: string;
  fallback: unknown;
  optional: boolean;
}

/** Looks through defaults and translations at the mapping, record or value inside. */
function unwrap(schema: z.ZodType): Unwrapped {
  const found: Unwrapped = { inner: schema, about: '', fallback: undefined, optional: false };
  for (;;) {
    const { inner } = found;
    found.about ||= inner.description ?? '';
    if (inner instanceof z.ZodOptional || inner instanceof z.ZodPrefault) {
      found.optional ||= inner instanceof z.ZodOptional;
      if (inner instanceof z.ZodPrefault) found.fallback ??= inner.def.defaultValue;
      found.inner = inner.unwrap() as z.ZodType;
    } else if (inner instanceof z.ZodPipe && z.globalRegistry.get(inner)?.type === undefined) {
      // A translation of a mapping: z.preprocess has what it reads behind, .transform before.
      found.inner = (inner.in instanceof z.ZodTransform ? inner.out : inner.in) as z.ZodType;
    } else {
      return found;
    }
  }
}
