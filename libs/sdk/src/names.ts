/** The name itself; throws a TypeError if the bus would not have it. */
export function checkedName(what: string, name: string): string {
  if (typeof name === 'string' && /^[A-Za-z0-9_.-]{1,128}$/.test(name)) return name;
  const text = JSON.stringify(name);
  throw new TypeError(`${what} ${text}: a name has 1 to 128 letters, digits, '_', '.' or '-'`);
}

/** Throws a TypeError that names the first option that nobody knows. */
export function checkOptions(what: string, options: object, known: readonly string[]): void {
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new TypeError(`${what} has no option '${unknown}'; it has ${known.join(', ')}`);
}
