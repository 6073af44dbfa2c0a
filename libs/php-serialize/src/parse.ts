import { PhpSerializeError } from './error.js';
import { Reader, shown } from './reader.js';

/** What JSON can say. */
export type PhpValue = null | boolean | number | string | PhpValue[] | { [key: string]: PhpValue };

/** What a body may make us hold, and which objects are taken as data. */
export interface PhpLimits {
  /** All bytes together. */
  bytesMax: number;
  /** Arrays in arrays, the outermost counted; at most 1,000. */
  depthMax: number;
  /** Elements of all arrays together. */
  elementsMax: number;
  /** Classes, in any case, whose objects become maps; every other object is refused. */
  classes: readonly string[];
}

export const defaultPhpLimits: Readonly<PhpLimits> = {
  bytesMax: 16 * 1024 * 1024,
  depthMax: 128,
  elementsMax: 1_000_000,
  classes: [],
};

/** Values are parsed by functions that call each other: the stack must hold them. */
const DEPTH_CAP = 1000;
/** The shortest element there is: `i:0;N;`. */
const ELEMENT_BYTES_MIN = 6;
/** Where the class of an object lies that became a map. */
const CLASS_KEY = '__class';
const REFUSED_KEY = '__proto__';

/**
 * The value that PHP's `serialize()` wrote, as data: nothing is ever made an object of a class.
 *
 * An array with the keys 0, 1, 2 ... in this order becomes a list (so an empty one too), any other a
 * map with its keys as text. An object of one of `limits.classes` becomes a map of its properties,
 * without their visibility, beside its class under `__class`.
 *
 * Throws a PhpSerializeError, which names the byte, for everything else: other objects, enum cases
 * and classes with a format of their own; references; strings that are not UTF-8; integers that a
 * double cannot hold; INF and NAN; keys that come twice, or would be `__proto__`; what is cut off,
 * goes on behind its end, or exceeds the limits. Takes time in proportion to the bytes.
 */
export function parsePhpSerialized(
  bytes: Uint8Array,
  limits: Readonly<Partial<PhpLimits>> = {},
): PhpValue {
  const all = { ...defaultPhpLimits, ...limits };
  if (!(all.depthMax <= DEPTH_CAP)) throw new RangeError(`depthMax is at most ${DEPTH_CAP}`);
  if (bytes.byteLength > all.bytesMax) {
    throw new PhpSerializeError(`${bytes.byteLength} bytes, ${all.bytesMax} allowed`, all.bytesMax);
  }
  const reader = new Reader(bytes);
  const value = new Parser(reader, all).value(1);
  if (reader.bytesLeft === 0) return value;
  throw new PhpSerializeError(`${reader.bytesLeft} bytes behind the value`, reader.offset);
}

class Parser {
  readonly #classes: ReadonlySet<string>;
  #elementsLeft: number;

  constructor(
    private readonly reader: Reader,
    private readonly limits: PhpLimits,
  ) {
    this.#classes = new Set(limits.classes.map(plainClass));
    this.#elementsLeft = limits.elementsMax;
  }

  value(depth: number): PhpValue {
    const start = this.reader.offset;
    const type = this.reader.character();
    if (type === 'N') {
      this.reader.expect(';');
      return null;
    }
    const parse = this.#typed(type);
    if (parse === undefined) throw new PhpSerializeError(`no type is ${shown(type)}`, start);
    this.reader.expect(':');
    return parse(start, depth);
  }

  #typed(type: string): ((start: number, depth: number) => PhpValue) | undefined {
    switch (type) {
      case 'b':
        return () => this.#boolean();
      case 'i':
        return () => this.reader.integer();
      case 'd':
        return () => this.reader.double();
      case 's':
        return () => this.#string();
      case 'a':
        return (start, depth) => this.#array(start, depth);
      case 'O':
        return (start, depth) => this.#object(start, depth);
      case 'C':
        return (start) => this.#refused('an object with a format of its own, of class', start);
      case 'E':
        return (start) => this.#refused('the enum case', start);
      case 'R':
      case 'r':
        return (start) => {
          throw new PhpSerializeError('a reference to another value', start);
        };
      default:
        return undefined;
    }
  }

  #boolean(): boolean {
    const start = this.reader.offset;
    const digit = this.reader.character();
    if (digit !== '0' && digit !== '1') {
      throw new PhpSerializeError(`${shown(digit)} is no boolean`, start);
    }
    this.reader.expect(';');
    return digit === '1';
  }

  #string(): string {
    const text = this.reader.text();
    this.reader.expect(';');
    return text;
  }

  #array(start: number, depth: number): PhpValue {
    const elements = new Elements();
    this.#elements(start, depth, (key, value, at) => elements.add(key, value, at));
    return elements.value;
  }

  #object(start: number, depth: number): PhpValue {
    const name = this.reader.text();
    if (!this.#classes.has(plainClass(name))) {
      throw new PhpSerializeError(`an object of class ${shown(name)}`, start);
    }
    this.reader.expect(':');
    const map: Record<string, PhpValue> = { [CLASS_KEY]: name };
    this.#elements(start, depth, (key, value, at) => put(map, propertyName(key), value, at));
    return map;
  }

  #elements(
    start: number,
    depth: number,
    add: (key: number | string, value: PhpValue, at: number) => void,
  ): void {
    if (depth > this.limits.depthMax) {
      throw new PhpSerializeError(`deeper than ${this.limits.depthMax}`, start);
    }
    const count = this.#count();
    this.reader.expect('{');
    for (let i = 0; i < count; i++) {
      const at = this.reader.offset;
      const key = this.#key();
      add(key, this.value(depth + 1), at);
    }
    this.reader.expect('}');
  }

  #count(): number {
    const start = this.reader.offset;
    const count = this.reader.length();
    if (count * ELEMENT_BYTES_MIN > this.reader.bytesLeft) {
      throw new PhpSerializeError(`${count} elements in ${this.reader.bytesLeft} bytes`, start);
    }
    this.#elementsLeft -= count;
    if (this.#elementsLeft >= 0) return count;
    throw new PhpSerializeError(`more than ${this.limits.elementsMax} elements`, start);
  }

  #key(): number | string {
    const start = this.reader.offset;
    const type = this.reader.character();
    if (type !== 'i' && type !== 's') {
      throw new PhpSerializeError(`a key is an integer or a string, not ${shown(type)}`, start);
    }
    this.reader.expect(':');
    return type === 'i' ? this.reader.integer() : this.#string();
  }

  #refused(what: string, start: number): never {
    throw new PhpSerializeError(`${what} ${shown(this.reader.text())}`, start);
  }
}

/** A list for as long as the keys are 0, 1, 2 ..., then a map. */
class Elements {
  #list: PhpValue[] = [];
  #map: Record<string, PhpValue> | undefined;

  get value(): PhpValue {
    return this.#map ?? this.#list;
  }

  add(key: number | string, value: PhpValue, at: number): void {
    if (this.#map === undefined && key === this.#list.length) {
      this.#list.push(value);
      return;
    }
    this.#map ??= { ...this.#list } as unknown as Record<string, PhpValue>;
    put(this.#map, String(key), value, at);
  }
}

function put(map: Record<string, PhpValue>, key: string, value: PhpValue, at: number): void {
  if (key === REFUSED_KEY) throw new PhpSerializeError(`a key ${REFUSED_KEY}`, at);
  if (Object.hasOwn(map, key)) throw new PhpSerializeError(`key ${shown(key)} a second time`, at);
  map[key] = value;
}

/** PHP writes a private property as `\0Class\0name`, a protected one as `\0*\0name`. */
function propertyName(key: number | string): string {
  const text = String(key);
  return text.startsWith('\0') ? text.slice(text.indexOf('\0', 1) + 1) : text;
}

/** Names of classes have no case, and may be written with their first backslash. */
function plainClass(name: string): string {
  return name.replace(/^\\/, '').toLowerCase();
}
