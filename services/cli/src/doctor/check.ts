/** What one look found. */
export interface Finding {
  /** What was looked at. */
  subject: string;
  ok: boolean;
  /** What was seen. */
  seen: string;
  /** What to do; only where something is wrong. */
  todo?: string;
}

export const fine = (subject: string, seen: string): Finding => ({ subject, ok: true, seen });

export const wrong = (subject: string, seen: string, todo: string): Finding => ({
  subject,
  ok: false,
  seen,
  todo,
});
