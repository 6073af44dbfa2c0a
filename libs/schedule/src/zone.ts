/** A span of time in which a zone's offset to UTC does not change: [startMs, endMs). */
export interface Stretch {
  startMs: number;
  endMs: number;
  /** Local time minus UTC. */
  offsetMs: number;
  /** Offset of the stretch before; the same as `offsetMs` where nothing is known before. */
  offsetBeforeMs: number;
}

/** An IANA time zone: maps instants to what clocks on walls show. */
export interface Zone {
  readonly name: string;
  /** The stretch that an instant lies in. */
  stretchAt(unixMs: number): Stretch;
}

const HOUR_MS = 3_600_000;
// Two changes of a zone have never been closer to each other (Morocco's Ramadan is a month).
const PROBE_MS = 7 * 24 * HOUR_MS;
/** How far a stretch is followed: zones that change no more have no end. */
const HORIZON_MS = 400 * 24 * HOUR_MS;
const MINUTE_MS = 60_000;
/** Some years: a stretch is dear to find. */
const STRETCHES_KEPT = 8;

const known = new Map<string, Zone>();

/** The zone of an IANA name such as `Asia/Shanghai`. Throws a TypeError for one that is unknown. */
export function zoneOf(name: string): Zone {
  const before = known.get(name);
  if (before !== undefined) return before;
  const zone = new IanaZone(name);
  known.set(name, zone);
  return zone;
}

class IanaZone implements Zone {
  readonly #format: Intl.DateTimeFormat;
  /** Those that were asked for last, newest first. */
  readonly #stretches: Stretch[] = [];

  constructor(readonly name: string) {
    try {
      this.#format = new Intl.DateTimeFormat('en', { timeZone: name, timeZoneName: 'longOffset' });
    } catch {
      throw new TypeError(`'${name}' is not a time zone; use a name such as Europe/Berlin or UTC`);
    }
  }

  stretchAt(unixMs: number): Stretch {
    const known = this.#stretches.find(({ startMs, endMs }) => startMs <= unixMs && unixMs < endMs);
    if (known !== undefined) return known;
    const stretch = this.#find(unixMs);
    this.#stretches.unshift(stretch);
    this.#stretches.splice(STRETCHES_KEPT);
    return stretch;
  }

  #find(unixMs: number): Stretch {
    const offsetMs = this.#offset(unixMs);
    const startMs = this.#change(unixMs, -1);
    const endMs = this.#change(unixMs, 1);
    return { startMs, endMs, offsetMs, offsetBeforeMs: this.#offset(startMs - 1) };
  }

  /** Where the offset at `unixMs` begins (-1) or ends (1) to hold; the horizon if it is farther. */
  #change(unixMs: number, direction: -1 | 1): number {
    const offset = this.#offset(unixMs);
    let inside = unixMs;
    for (let far = 0; far < HORIZON_MS; far += PROBE_MS) {
      const probe = inside + direction * PROBE_MS;
      if (this.#offset(probe) !== offset) return this.#boundary(inside, probe, offset);
      inside = probe;
    }
    return inside;
  }

  /** The first instant of the later side; zones change at whole minutes of UTC. */
  #boundary(inside: number, outside: number, offset: number): number {
    let [near, far] = [inside, outside];
    while (Math.abs(far - near) > 1) {
      const middle = Math.trunc((near + far) / 2);
      if (this.#offset(middle) === offset) near = middle;
      else far = middle;
    }
    return Math.max(near, far);
  }

  #offset(unixMs: number): number {
    const text = this.#format.format(unixMs);
    const parts = /GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/.exec(text);
    if (!parts?.[1]) return 0;
    const [, sign, hours, minutes, seconds = '0'] = parts;
    const ms = Number(hours) * HOUR_MS + Number(minutes) * MINUTE_MS + Number(seconds) * 1_000;
    return sign === '-' ? -ms : ms;
  }
}
