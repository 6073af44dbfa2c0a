import type { Timetable, Zone } from '@malabar/schedule';
import { instantShown, shownAt } from './go-time.js';

/** A field of peppercron's cron: its values, and whether a star or a question mark is in it. */
interface Field {
  values: ReadonlySet<number>;
  star: boolean;
  /** The same for croner, which knows neither `?` nor `5/15`. */
  text: string;
}

interface Bounds {
  name: string;
  min: number;
  max: number;
  names?: readonly string[];
}

const MONTHS = 'jan feb mar apr may jun jul aug sep oct nov dec'.split(' ');
const WEEKDAYS = 'sun mon tue wed thu fri sat'.split(' ');

const FIELDS: readonly Bounds[] = [
  { name: 'second', min: 0, max: 59 },
  { name: 'minute', min: 0, max: 59 },
  { name: 'hour', min: 0, max: 23 },
  { name: 'day', min: 1, max: 31 },
  { name: 'month', min: 1, max: 12, names: MONTHS },
  { name: 'weekday', min: 0, max: 6, names: WEEKDAYS },
];

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
/** It gives up a search in the year after so many. */
const YEARS = 5;

/** A cron expression as peppercron reads it. */
export interface OldCron {
  /** 5 where the weekday is missing. */
  fields: 5 | 6;
  /** The same in six fields, as it is written here. */
  expression: string;
  /** Field by field, e.g. `second 0, minute 30, hour 2, any day, any month, weekday 1-5`. */
  words: string;
  timetable(zone: Zone): Timetable;
}

/**
 * Reads `second minute hour day month [weekday]` as peppercron does. Throws a TypeError with the reason
 * for which it never runs the job.
 */
export function parseOldCron(text: string): OldCron {
  const given = text.split(/\s+/).filter((part) => part !== '');
  if (given.length !== 5 && given.length !== 6) {
    throw new TypeError(`'${text}' has ${given.length} fields; peppercron reads 5 or 6`);
  }
  const fields = FIELDS.map((bounds, at) => parseField(given[at] ?? '*', bounds));
  return {
    fields: given.length,
    expression: expressionOf(fields),
    words: fields.map(wordsOf(given.length)).join(', '),
    timetable: (zone) => ({ next: (unixMs) => nextTime(fields, zone, unixMs) }),
  };
}

const wordsOf =
  (count: number) =>
  ({ text }: Field, at: number): string => {
    const { name } = FIELDS[at] as Bounds;
    if (at >= count) return `any ${name}, which is missing`;
    return text === '*' ? `any ${name}` : `${name} ${text}`;
  };

function expressionOf(fields: readonly Field[]): string {
  const texts = fields.map(({ text }) => text);
  const [day, weekday] = [fields[3] as Field, fields[5] as Field];
  // Both count where one of them has a star, and croner would take either if that star has a step.
  const both = (day.star || weekday.star) && day.text !== '*' && weekday.text !== '*';
  return [...texts.slice(0, 5), both ? `+${weekday.text}` : weekday.text].join(' ');
}

function parseField(text: string, bounds: Bounds): Field {
  const ranges = text
    .split(',')
    .filter((part) => part !== '')
    .map((part) => parseRange(part, bounds));
  if (ranges.length === 0) throw new TypeError(`the ${bounds.name} '${text}' is never`);
  const values = new Set(ranges.flatMap((range) => range.values));
  const star = ranges.some((range) => range.star);
  const isAll = values.size === bounds.max - bounds.min + 1;
  // Where nobody asks for the star, all values are as good as one; day and weekday do.
  const isDay = bounds.name === 'day' || bounds.name === 'weekday';
  const plain = isAll && (star || !isDay);
  return { values, star, text: plain ? '*' : ranges.map((range) => range.text).join(',') };
}

interface Range {
  values: number[];
  star: boolean;
  text: string;
}

function parseRange(text: string, bounds: Bounds): Range {
  const { name, min, max } = bounds;
  const refuse = (reason: string): never => {
    throw new TypeError(`the ${name} '${text}' ${reason}`);
  };
  const [range = '', step, ...moreSteps] = text.split('/');
  const [low = '', high, ...moreHighs] = range.split('-');
  const star = low === '*' || low === '?';
  if (moreSteps.length > 0) refuse('has too many slashes');
  if (moreHighs.length > 0 && !star) refuse('has too many hyphens');
  const number = (part: string): number => parseNumber(part, bounds) ?? refuse('is no number');
  const first = star ? min : number(low);
  const single = high === undefined ? (step === undefined ? first : max) : number(high);
  const last = star ? max : single;
  const by = step === undefined ? 1 : (parseNumber(step, { ...bounds, names: [] }) ?? Number.NaN);
  if (!(by > 0)) refuse('has a step that is no number above 0');
  if (first < min || last > max) refuse(`is not from ${min} to ${max}`);
  if (first > last) refuse('ends before it begins');
  const values: number[] = [];
  for (let value = first; value <= last; value += by) values.push(value);
  return { values, star, text: textOf(values, star, by) };
}

function textOf(values: readonly number[], star: boolean, by: number): string {
  const [first, last] = [values[0], values.at(-1)];
  if (values.length === 1) return String(first);
  const range = star ? '*' : `${first}-${last}`;
  return by === 1 ? range : `${range}/${by}`;
}

function parseNumber(text: string, { names = [], min }: Bounds): number | undefined {
  const named = names.indexOf(text.toLowerCase());
  if (named >= 0) return named + min;
  return /^\+?\d+$/.test(text) ? Number(text) : undefined;
}

/** How a search goes on from a time whose field does not fit. */
interface Stage {
  fits(shown: Date): boolean;
  /** The beginning of the span in which the time lies. */
  floor(unixMs: number): number;
  /** The same time one span later. */
  step(unixMs: number): number;
  /** Whether the span above has changed, so that it must be asked again. */
  isOver(shown: Date): boolean;
}

/**
 * The first time after `unixMs` that fits, found as peppercron finds it: span by span on the clocks of
 * the zone, so that times which clocks skip are not found and those that they show twice are, twice.
 */
function nextTime(fields: readonly Field[], zone: Zone, unixMs: number): number | undefined {
  const stages = stagesOf(fields, zone);
  let at = Math.floor(unixMs / SECOND_MS) * SECOND_MS + SECOND_MS;
  const lastYear = shownAt(at, zone).getUTCFullYear() + YEARS;
  let isFloored = false;
  const settle = ({ fits, floor, step, isOver }: Stage): boolean => {
    while (!fits(shownAt(at, zone))) {
      at = step(isFloored ? at : floor(at));
      isFloored = true;
      if (isOver(shownAt(at, zone))) return false;
    }
    return true;
  };
  while (shownAt(at, zone).getUTCFullYear() <= lastYear) if (stages.every(settle)) return at;
  return undefined;
}

function stagesOf(fields: readonly Field[], zone: Zone): Stage[] {
  const [second, minute, hour, day, month, weekday] = fields as [
    ...(readonly [Field, Field, Field, Field, Field]),
    Field,
  ];
  const fitsDay = (shown: Date): boolean => {
    const inMonth = day.values.has(shown.getUTCDate());
    const inWeek = weekday.values.has(shown.getUTCDay());
    return day.star || weekday.star ? inMonth && inWeek : inMonth || inWeek;
  };
  const onClocks = (change: (shown: Date) => number) => (unixMs: number) =>
    instantShown(change(shownAt(unixMs, zone)), zone);
  const later = (ms: number) => (unixMs: number) => unixMs + ms;
  const down = (ms: number) => (unixMs: number) => Math.floor(unixMs / ms) * ms;
  return [
    {
      fits: (shown) => month.values.has(shown.getUTCMonth() + 1),
      floor: onClocks((shown) => Date.UTC(shown.getUTCFullYear(), shown.getUTCMonth(), 1)),
      step: onClocks((shown) => shown.setUTCMonth(shown.getUTCMonth() + 1)),
      isOver: (shown) => shown.getUTCMonth() === 0,
    },
    {
      fits: fitsDay,
      floor: onClocks((shown) => shown.setUTCHours(0, 0, 0, 0)),
      step: onClocks((shown) => shown.setUTCDate(shown.getUTCDate() + 1)),
      isOver: (shown) => shown.getUTCDate() === 1,
    },
    {
      fits: (shown) => hour.values.has(shown.getUTCHours()),
      floor: onClocks((shown) => shown.setUTCMinutes(0, 0, 0)),
      step: later(HOUR_MS),
      isOver: (shown) => shown.getUTCHours() === 0,
    },
    {
      fits: (shown) => minute.values.has(shown.getUTCMinutes()),
      floor: down(MINUTE_MS),
      step: later(MINUTE_MS),
      isOver: (shown) => shown.getUTCMinutes() === 0,
    },
    {
      fits: (shown) => second.values.has(shown.getUTCSeconds()),
      floor: down(SECOND_MS),
      step: later(SECOND_MS),
      isOver: (shown) => shown.getUTCSeconds() === 0,
    },
  ];
}
