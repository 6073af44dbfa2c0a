/** Why a text is no value of its type. The message never holds the value of a secret. */
export class ValueError extends Error {
  override readonly name = 'ValueError';
}

/** A text as it may stand in a message: in quotes, and short. */
export function quoted(text: string): string {
  const short = text.length > 60 ? `${text.slice(0, 60)}...` : text;
  return JSON.stringify(short);
}
