import type { keeper } from '@malabar/contracts';

/** What adding up parts of milliseconds may be wrong by. */
const EPSILON = 1e-6;

/**
 * How fast a topic hands deliveries out. It keeps one number: up to when what was handed out has used the
 * rate up. That may lie ahead of the clock by what `burst` deliveries take, so that in any time of t
 * milliseconds there are never more than burst + limit * t / perMs.
 */
export class RateLimit {
  constructor(
    private rate: keeper.Rate | undefined,
    /** In Unix milliseconds, with fractions. */
    public usedToMs = 0,
  ) {}

  get isSet(): boolean {
    return this.rate !== undefined;
  }

  /** Another rate counts from now on. What the one before has used stays used, up to the new one's burst. */
  change(rate: keeper.Rate | undefined): void {
    this.rate = rate;
  }

  /** How many deliveries may be handed out now. */
  room(now: number): number {
    const { rate } = this;
    if (rate === undefined) return Infinity;
    const aheadMs = Math.max(0, this.#usedTo(rate, now) - now);
    return Math.floor((rate.burst * pauseMs(rate) - aheadMs) / pauseMs(rate) + EPSILON);
  }

  /** So many were handed out. */
  use(count: number, now: number): void {
    const { rate } = this;
    if (rate === undefined || count === 0) return;
    this.usedToMs = Math.max(this.#usedTo(rate, now), now) + count * pauseMs(rate);
  }

  /** The first millisecond at which there is room again; undefined if there is. */
  roomAtMs(now: number): number | undefined {
    const { rate } = this;
    if (rate === undefined || this.room(now) > 0) return undefined;
    return Math.ceil(this.#usedTo(rate, now) - (rate.burst - 1) * pauseMs(rate) - EPSILON);
  }

  /** Never further ahead than the burst: a clock may have been set back, or the rate changed. */
  #usedTo(rate: keeper.Rate, now: number): number {
    return Math.min(this.usedToMs, now + rate.burst * pauseMs(rate));
  }
}

/** Between two deliveries, on average. */
const pauseMs = ({ limit, perMs }: keeper.Rate): number => perMs / limit;
