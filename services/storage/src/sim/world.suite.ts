import { batches, common, type keeper, storage } from '@malabar/contracts';
import { joinFrames, toBusError } from '@malabar/core';
import { abandonBatches, closeBatch, openBatch } from '../batches.js';
import type { Dice } from './dice.suite.js';
import { Disk } from './disk.suite.js';
import { anyConfig } from './documents.suite.js';
import { Life, type Sabotage, type Stream } from './life.suite.js';
import { Model } from './model.suite.js';
import { settle, type Time } from './schedule.suite.js';

/** Something in a history was not as it must be. */
export class Wrong extends Error {}

const TICK_MS = 250;

/** Everything that one history is made of. */
export class World {
  readonly time: Time = { now: 1_900_000_000_000 };
  readonly disk: Disk;
  readonly model: Model;
  life: Life;
  config: keeper.BusConfig;
  #next = 1;
  #zombies: Life[] = [];

  constructor(
    readonly dice: Dice,
    readonly sabotage: Sabotage & { disk?: () => Disk } = {},
  ) {
    this.disk = sabotage.disk?.() ?? new Disk();
    this.model = new Model({
      now: () => this.time.now,
      store: () => this.life.store.number,
      shardOf: (queue) => this.life.store.shards.get(queue),
      inEffect: (config) => {
        const [first] = config.queues;
        return first !== undefined && this.life.store.shards.get(first.name)?.config === first;
      },
      isReading: () => this.life.schedule.size > 0,
      survives: (shard, seq) => this.disk.survives(shard, seq),
      awaySinceMs: (...place) => this.life.awaySinceMs(...place),
    });
    this.config = anyConfig(dice);
    this.life = this.#newLife();
  }

  /** A number that was not used in this history. */
  fresh(): number {
    return this.#next++;
  }

  #newLife(): Life {
    return new Life(this.model, this.disk, this.time, this.dice, this.sabotage);
  }

  /** Opens the store and waits for it; it may die again meanwhile. */
  async open(): Promise<void> {
    if (this.disk.state.get('M') === undefined) this.disk.full = 'nothing';
    const { life } = this;
    let opened: boolean | undefined;
    life.store.open().then(
      () => {
        opened = true;
      },
      (error) => {
        opened = false;
        this.model.fail(`the store does not open: ${toBusError(error).message}`);
      },
    );
    for (let i = 0; opened === undefined && i < 1000; i++) {
      await settle();
      if (this.dice.chance(0.002)) return this.crash();
      if (life.schedule.size > 0) life.schedule.runOne(this.dice);
      else if (opened === undefined) this.jumpToTimer();
    }
    this.check();
    life.configure(this.config);
    if (this.dice.chance(0.8)) await this.rest();
    else await settle();
  }

  async crash(): Promise<void> {
    this.model.saw('crashes');
    this.life.die();
    this.disk.crash(this.dice);
    await this.#reopen();
  }

  /** Another process takes over while this one still thinks that it owns the disk. */
  async fence(): Promise<void> {
    this.model.saw('owners fenced');
    this.life.zombie = true;
    this.#zombies.push(this.life);
    await this.#reopen();
  }

  async #reopen(): Promise<void> {
    this.model.crash();
    this.life = this.#newLife();
    await this.open();
  }

  // --- time and progress --------------------------------------------------------------------------

  jump(ms: number): void {
    this.time.now += ms;
    this.life.fireTimers();
    for (const zombie of this.#zombies) zombie.fireTimers();
    if (ms >= TICK_MS && this.life.streams.length + this.life.fetches.size > 0)
      for (const lease of this.model.live.values())
        if (lease.deadlineMs <= this.time.now)
          this.model.fail(`lease ${lease.id} is not ended, but its time is over`);
  }

  jumpToTimer(): void {
    this.jump(Math.max(0, (this.life.clock.nextDueAtMs ?? this.time.now) - this.time.now));
  }

  runOne(): void {
    const schedules = [this.life, ...this.#zombies].map((life) => life.schedule);
    const busy = schedules.filter((schedule) => schedule.size > 0);
    if (busy.length > 0) this.dice.pick(busy).runOne(this.dice);
  }

  /** Lets everything end that has begun. */
  async rest(): Promise<void> {
    const { schedule } = this.life;
    schedule.hurried = true;
    await settle();
    for (let i = 0; schedule.size > 0; i++) {
      if (i > 500) throw new Wrong('the store never comes to rest');
      schedule.runAll();
      await settle();
    }
    schedule.hurried = false;
  }

  /** Lets promises run, then looks whether anything was wrong. */
  async step(): Promise<void> {
    await settle();
    this.check();
  }

  check(): void {
    const [id] = this.model.ending;
    if (id !== undefined) this.model.fail(`the end of lease ${id} changed nothing`);
    if (this.model.failure !== undefined) throw new Wrong(this.model.failure);
  }

  // --- what producers and consumers do ------------------------------------------------------------

  append(queue: string, options: Array<storage.JobOptions | undefined>): void {
    const { model, life } = this;
    const bodies = options.map(() => `job-${this.fresh()}`);
    bodies.forEach((body, i) => {
      model.offers.set(body, { options: options[i], refused: false });
    });
    const jobs = bodies.map((body) =>
      common.Job.encode(common.Job.fromPartial({ body: Buffer.from(body) })).finish(),
    );
    const request = storage.AppendRequest.fromPartial({
      requestId: this.fresh(),
      queue,
      count: bodies.length,
      options: options.filter((one) => one !== undefined),
    });
    request.jobs = joinFrames(jobs);
    const reply = (response: storage.AppendResponse): void => {
      if (life.zombie) this.#answeredLate(bodies, response);
      else this.#answered(queue, bodies, response, limited);
    };
    const limited = this.#limited(queue);
    life.store.append({ request, reply });
  }

  openBatch(queue: string, on: batches.BatchOn, expiresAfterMs: number): void {
    const { life, model } = this;
    const follower = `follower-${this.fresh()}`;
    model.offers.set(follower, { options: undefined, refused: false });
    const thenJob = batches.BatchThen.fromPartial({ queue, body: Buffer.from(follower), on });
    const opened = model.batches.opening(follower, on);
    openBatch(life.store, { thenJob, expiresAfterMs }).then(
      (batch) => {
        if (!life.zombie) opened(batch);
      },
      () => undefined,
    );
  }

  closeBatch(id: string): void {
    const batch = this.model.batches.all.get(id);
    if (batch === undefined) return;
    const { life } = this;
    batch.closeAsked = true;
    closeBatch(life.store, id).then(
      () => {
        if (!life.zombie) batch.isClosed = true;
      },
      () => undefined,
    );
  }

  abandonBatch(id: string): void {
    const batch = this.model.batches.all.get(id);
    if (batch === undefined) return;
    batch.abandonAsked = true;
    const queues = this.config.queues.map(({ name }) => name);
    for (const queue of queues)
      abandonBatches(this.life.store, { queue, ids: [id] }).catch(() => undefined);
  }

  /** A store that has lost its disk may still tell what came to pass before. */
  #answeredLate(bodies: string[], response: storage.AppendResponse): void {
    if (response.fault !== undefined) return;
    const refused = new Set(response.exceptions.map(({ index }) => index));
    for (const [i, body] of bodies.entries())
      if (!refused.has(i) && !this.model.jobs.has(body))
        this.model.fail(`'${body}' was accepted by a store that had lost its disk`);
  }

  #answered(
    queue: string,
    bodies: string[],
    response: storage.AppendResponse,
    limited: boolean,
  ): void {
    const refused = new Map(response.exceptions.map((one) => [one.index, one]));
    let seq = response.firstSeq;
    for (const [index, body] of bodies.entries()) {
      const exception = refused.get(index);
      const offer = this.model.offers.get(body);
      if (response.fault || exception) {
        if (offer) offer.refused = true;
        if (this.model.jobs.has(body)) this.model.fail(`'${body}' is refused and on the disk`);
        if (response.fault) this.model.saw('appends refused');
        if (response.fault) this.#checkFault(queue, response.fault.code);
        else if (exception) this.#checkException(queue, body, exception, response, limited);
        continue;
      }
      const job = this.model.jobs.get(body);
      if (job === undefined) {
        this.model.fail(`'${body}' is accepted, but not on the disk`);
        continue;
      }
      if (job.seq !== seq || job.queue.shard !== response.shard)
        this.model.fail(`'${body}' is accepted as ${seq}, but it is ${job.seq}`);
      if (job.acceptedAtMs !== response.acceptedAtMs) this.model.fail(`'${body}': wrong time`);
      seq++;
    }
  }

  #checkFault(queue: string, code: string): void {
    const expected = ['DISK_FULL', 'UNKNOWN_QUEUE', 'UNAVAILABLE'];
    if (!expected.includes(code)) this.model.fail(`an append to ${queue} is refused with ${code}`);
  }

  #checkException(
    queue: string,
    body: string,
    { duplicateOf, fault }: storage.AppendException,
    response: storage.AppendResponse,
    limited: boolean,
  ): void {
    const { model } = this;
    const options = model.offers.get(body)?.options;
    if (duplicateOf !== '') model.saw('duplicates');
    else if (fault?.code === 'QUEUE_FULL') model.saw('jobs refused by a limit');
    if (duplicateOf !== '') {
      const holder = model.queues.get(queue)?.keys.get(options?.idempotencyKey ?? '');
      const key = options?.idempotencyKey ?? '';
      if (!model.holds(queue, key, duplicateOf))
        model.fail(`'${body}' is said to be ${duplicateOf}`);
      else if ((holder?.expiresAtMs ?? 0) <= response.acceptedAtMs)
        model.fail(`'${body}' is refused for a key whose window is over`);
    } else if (fault?.code === 'NOT_FOUND' && model.batches.isOver(options?.batch ?? ''))
      model.saw('jobs refused by an ended batch');
    else if (fault?.code !== 'QUEUE_FULL') model.fail(`'${body}' is refused: ${fault?.code}`);
    else if (!options?.maxWaiting && !limited && !this.#limited(queue))
      model.fail(`'${body}' is refused, but nothing limits ${queue}`);
  }

  #limited(queue: string): boolean {
    const configs = [this.model.queues.get(queue)?.config, ...this.#pending(queue)];
    return configs.some((config) => (config?.waitingMax ?? 0) > 0);
  }

  #pending(queue: string): Array<keeper.QueueConfig | undefined> {
    return this.model.configs.map((config) => config.queues.find(({ name }) => name === queue));
  }

  /** Waits for everything said up to now to be durable, and checks that it is. */
  flush(): void {
    const { life, model } = this;
    const changes = model.changes;
    void life.store.committer.flush().then(() => {
      if (!life.zombie && model.durableChanges < changes)
        model.fail('a flush has ended before everything was on the disk');
    });
  }

  /** A dispatcher says yes to all that it has. */
  done(stream: Stream): void {
    const request = storage.DeliverRequest.fromPartial({ dispatcher: stream.name });
    for (const firstLeaseId of stream.held.splice(0)) {
      const outcome = { leaseId: firstLeaseId, kind: common.OutcomeKind.DONE };
      this.model.outcome(common.Outcome.fromPartial(outcome));
      request.done.push({ firstLeaseId, count: 1 });
    }
    this.life.store.delivery.handle(stream.session, request);
  }

  /** Settles as a fetching consumer or an operator does, and compares what counted. */
  settle(outcomes: common.Outcome[]): void {
    const stale = outcomes.filter((one) => !this.model.outcome(one)).map(({ leaseId }) => leaseId);
    const told = this.life.store.settle(outcomes);
    if (told.join() !== stale.join())
      this.model.fail(`stale leases are ${stale.join()}, but the store says ${told.join()}`);
    this.life.store.delivery.pumpTouched();
  }
}
