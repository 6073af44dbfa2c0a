function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}

/**
 * `; did you mean 'x'?` for the candidate that is nearest to a mistyped word, or nothing. A prefix
 * that all of them share says nothing about nearness.
 */
export function suggestion(word: string, candidates: Iterable<string>, prefix = ''): string {
  const text = word.slice(prefix.length).toLowerCase().slice(0, 100);
  let best: string | undefined;
  let least = Math.max(2, Math.floor(text.length / 3)) + 1;
  for (const candidate of candidates) {
    const far = distance(text, candidate.slice(prefix.length).toLowerCase());
    if (far < least && far < candidate.length - prefix.length) {
      best = candidate;
      least = far;
    }
  }
  return best === undefined ? '' : `; did you mean '${best}'?`;
}
