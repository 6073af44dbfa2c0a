const NOT_A_TOKEN = /[^!#$&'*+\-.^_`|~0-9A-Za-z]+/gu;
const NOT_PRINTABLE = /[^\x20-\x24\x26-\x7e]/u;

/** Whether a text can be a header value as it is. */
export function isHeaderText(text: string): boolean {
  return /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(text);
}

/** A value that survives as a header: percent-encoded where it is not printable ASCII (and `%`). */
export function headerText(text: string): string {
  const encoded = NOT_PRINTABLE.test(text)
    ? wellFormed(text).replace(/[^\x20-\x24\x26-\x7e]+/gu, encodeURIComponent)
    : text;
  // Spaces at the ends would be trimmed on the way.
  return encoded.replace(/^ +| +$/g, (spaces) => '%20'.repeat(spaces.length));
}

/** A name that survives as a header's, the bytes that are no token percent-encoded. */
export function headerName(name: string): string {
  return wellFormed(name)
    .replace(
      NOT_A_TOKEN,
      (char) =>
        `%${Buffer.from(char)
          .toString('hex')
          .replace(/..(?=.)/g, '$&%')}`,
    )
    .toLowerCase();
}

/** Without lone surrogates, which have no UTF-8. */
function wellFormed(text: string): string {
  return Buffer.from(text).toString();
}

/** Header names are the same in any case; objects' keys are not. */
export function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
  );
}

/** The Authorization header of a URL that carries user and password; none if it does not. */
export function basicAuthorization(url: URL): Record<string, string> {
  if (url.username === '' && url.password === '') return {};
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}

/** A URL for people: without user, password and query, where secrets live. */
export function publicUrl(url: URL): string {
  return url.origin + url.pathname;
}
