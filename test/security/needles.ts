/** A secret that a test has planted somewhere. */
export interface Planted {
  /** What it is, for messages; never its text. */
  name: string;
  value: string;
}

/** A text in which no secret may stand. */
export interface Collected {
  /** Where it comes from. */
  where: string;
  content: Buffer;
}

const PART_CHARS_MIN = 12;
/** How much of the text around a leak a message shows. */
const AROUND = 60;

/**
 * The texts that give a secret away, by form: as it is, a half of it (for what was cut), as JSON, in
 * a URL, as hex, and as base64 wherever in a longer text it begins.
 */
export function formsOf(value: string): Map<string, string> {
  const bytes = Buffer.from(value);
  const half = Math.max(PART_CHARS_MIN, Math.ceil(value.length / 2));
  const forms = new Map([
    ['plain', value],
    ['first half', value.slice(0, half)],
    ['second half', value.slice(-half)],
    ['JSON', JSON.stringify(value).slice(1, -1)],
    ['URL', encodeURIComponent(value)],
    ['form', new URLSearchParams([['', value]]).toString().slice(1)],
    ['hex', bytes.toString('hex')],
    ['HEX', bytes.toString('hex').toUpperCase()],
  ]);
  for (const shift of [0, 1, 2]) {
    const text = base64Inside(bytes, shift);
    forms.set(`base64+${shift}`, text);
    forms.set(`base64url+${shift}`, text.replaceAll('+', '-').replaceAll('/', '_'));
  }
  return forms;
}

/** The characters that do not depend on what stands before and behind. */
function base64Inside(bytes: Buffer, shift: number): string {
  const text = Buffer.concat([Buffer.alloc(shift), bytes])
    .toString('base64')
    .replaceAll('=', '');
  const first = Math.ceil((shift * 8) / 6);
  const last = Math.floor(((shift + bytes.length) * 8) / 6);
  return text.slice(first, last);
}

/** Every place where a secret stands, without its text. */
export function findLeaks(texts: Iterable<Collected>, planted: readonly Planted[]): string[] {
  const needles = planted.flatMap(({ name, value }) =>
    [...formsOf(value)].map(([form, text]) => ({ name, form, bytes: Buffer.from(text) })),
  );
  const leaks: string[] = [];
  for (const { where, content } of texts) {
    const found = new Set<string>();
    for (const { name, form, bytes } of needles) {
      const at = content.indexOf(bytes);
      if (at < 0 || found.has(name)) continue;
      found.add(name);
      leaks.push(`${name} (${form}) in ${where}: ${around(content, at, bytes.length, planted)}`);
    }
  }
  return leaks;
}

function around(content: Buffer, at: number, length: number, planted: readonly Planted[]): string {
  const before = content.toString('utf8', Math.max(0, at - AROUND), at);
  const behind = content.toString('utf8', at + length, at + length + AROUND);
  const shown = planted.reduce(masked, `${before}<HERE>${behind}`);
  return JSON.stringify(shown);
}

function masked(text: string, { name, value }: Planted): string {
  const forms = [...formsOf(value).values()].sort((a, b) => b.length - a.length);
  return forms.reduce((shown, form) => shown.replaceAll(form, `<${name}>`), text);
}
