import { common } from '@malabar/contracts';
import { eventually } from '@malabar/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { attemptOf } from './attempts.suite.js';
import type { Target } from './target.js';

const { CRASH, DEAD, DONE, RELEASE, RETRY } = common.OutcomeKind;

/** How the consumer behind a target treats a job: a test names it as the job's topic. */
export const BEHAVIOURS = [
  /** Says yes. */
  'yes',
  /** Fails with the words "no stock". */
  'no',
  /** Asks for another try in 90 seconds. */
  'later',
  /** Says that no retry can help, with the words "no such order". */
  'dead',
  /** Gives the job back untouched. */
  'back',
  /** Never answers. */
  'hang',
  /** Begins an answer and never ends it. */
  'drip',
  /** Ends the connection without an answer. */
  'die',
  /** Answers with more than 3 MiB. */
  'flood',
  /** Sends its yes and then fails with HTTP status 500. */
  'yes-and-500',
] as const;

export type Behaviour = (typeof BEHAVIOURS)[number];

/** A real consumer and targets that lead to it. */
export interface TargetHarness {
  target(): Target;
  /** A target with an address where nobody listens. */
  nobody(): Target;
  /** Bodies of the jobs that said yes, as the consumer saw them. */
  received(): string[];
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** What every target that works by request and answer must do. */
export function testTarget(name: string, start: () => Promise<TargetHarness>): void {
  describe(name, () => {
    let harness: TargetHarness;
    const targets: Target[] = [];
    beforeAll(async () => {
      harness = await start();
    });
    afterEach(async () => {
      await Promise.all(targets.splice(0).map((target) => target.close()));
    });
    afterAll(() => harness?.stop());

    const use = (target: Target): Target => {
      targets.push(target);
      return target;
    };
    const deliver = (topic: Behaviour, timeoutMs = 10_000) =>
      use(harness.target()).deliver(attemptOf({ topic, timeoutMs }));

    test('a yes is done, and the consumer has seen the body', async () => {
      expect((await deliver('yes')).kind).toBe(DONE);
      expect(harness.received()).toContain('{"order":"FB138"}');
    });

    test("a no is a retry with the consumer's words", async () => {
      const verdict = await deliver('no');
      expect(verdict).toMatchObject({ kind: RETRY, retryAfterMs: 0 });
      expect(verdict.error).toContain('no stock');
    });

    test('a consumer may say when to try again', async () => {
      expect(await deliver('later')).toMatchObject({ kind: RETRY, retryAfterMs: 90_000 });
    });

    test('a consumer may say that no retry can help', async () => {
      const verdict = await deliver('dead');
      expect(verdict.kind).toBe(DEAD);
      expect(verdict.error).toContain('no such order');
    });

    test('a consumer may give a job back', async () => {
      expect((await deliver('back')).kind).toBe(RELEASE);
    });

    test('a consumer that never answers times out', async () => {
      expect(await deliver('hang', 1_000)).toMatchObject({ kind: RETRY, errorCode: 'TIMEOUT' });
    });

    test('a consumer that never ends its answer times out', async () => {
      expect(await deliver('drip', 1_000)).toMatchObject({ kind: RETRY, errorCode: 'TIMEOUT' });
    });

    test('a consumer that ends without an answer has crashed', async () => {
      expect((await deliver('die')).kind).toBe(CRASH);
    });

    test('an answer without measure is a failure and is not kept', async () => {
      const verdict = await deliver('flood');
      expect(verdict).toMatchObject({ kind: RETRY, errorCode: 'RESPONSE_TOO_LARGE' });
    });

    test('a yes with status 500 is a failure: it died after it had said yes', async () => {
      expect((await deliver('yes-and-500')).kind).toBe(RETRY);
    });

    test('where nobody listens nothing is delivered, and that is told apart', async () => {
      const verdict = await use(harness.nobody()).deliver(attemptOf({ topic: 'yes' }));
      expect(verdict.kind).toBe(RELEASE);
      expect(verdict.error).not.toBe('');
    });

    test('many attempts at once all end, over fewer connections', async () => {
      const target = use(harness.target());
      const attempts = Array.from({ length: 50 }, () =>
        target.deliver(attemptOf({ topic: 'yes' })),
      );
      const kinds = (await Promise.all(attempts)).map(({ kind }) => kind);
      expect(kinds).toEqual(Array(50).fill(DONE));
    });

    test('closing cuts what runs', async () => {
      const hanging = () => harness.received().filter((body) => body === 'hang').length;
      const before = hanging();
      const target = harness.target();
      const verdict = target.deliver(attemptOf({ topic: 'hang', timeoutMs: 60_000 }));
      await eventually(() => hanging() > before);
      await target.close();
      expect([CRASH, RETRY]).toContain((await verdict).kind);
    });

    test('a consumer that was restarted is reached again', async () => {
      const target = use(harness.target());
      expect((await target.deliver(attemptOf({ topic: 'yes' }))).kind).toBe(DONE);
      await harness.restart();
      await eventually(async () => {
        expect((await target.deliver(attemptOf({ topic: 'yes' }))).kind).toBe(DONE);
      });
    });
  });
}
