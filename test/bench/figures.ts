/** One measured number of one contestant, over all rounds. */
export interface Series {
  name: string;
  values: number[];
}

/** Something that is measured beside others: `run` gives one value a round. */
export interface Contestant {
  name: string;
  run(): Promise<number>;
}

/**
 * Runs all contestants in turn, round by round, so that a machine that speeds up or slows down does so
 * for all of them.
 */
export async function interleave(
  rounds: number,
  contestants: readonly Contestant[],
): Promise<Series[]> {
  const series = contestants.map(({ name }): Series => ({ name, values: [] }));
  for (let round = 0; round < rounds; round++)
    for (const [i, contestant] of contestants.entries())
      series[i]?.values.push(await contestant.run());
  return series;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The value below which the given part of all values lies. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
}

/** Median of the ratios round by round: what a drifting machine disturbs least. */
export function ratio(series: Series, beside: Series): number {
  return median(series.values.map((value, i) => value / (beside.values[i] ?? Number.NaN)));
}

const rounded = (value: number): string =>
  value >= 100 ? Math.round(value).toLocaleString('en-US') : value.toFixed(2);

/** `name  median (min to max) unit`, with the ratio to a peer if one is named. */
export function printSeries(all: readonly Series[], unit: string, beside?: string): void {
  const peer = all.find(({ name }) => name === beside);
  for (const series of all) {
    const { name, values } = series;
    const range = `(${rounded(Math.min(...values))} to ${rounded(Math.max(...values))})`;
    const against =
      peer && peer !== series ? `  ${ratio(series, peer).toFixed(2)}x of ${beside}` : '';
    console.log(
      `  ${name.padEnd(38)} ${rounded(median(values)).padStart(9)} ${range} ${unit}${against}`,
    );
  }
}

/** One line on a goal of the project: reached or not, with the figure. */
export function printGoal(
  name: string,
  reached: number,
  goal: number,
  better: 'more' | 'less',
): void {
  const ok = better === 'more' ? reached >= goal : reached <= goal;
  const sign = better === 'more' ? 'at least' : 'at most';
  console.log(
    `  ${ok ? 'reached' : 'MISSED '}  ${name}: ${rounded(reached)} (goal: ${sign} ${goal})`,
  );
}
