import { needs, packages } from '@malabar/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Bus, startBus } from '../harness/bus.js';
import { RespSocket } from '../harness/resp-socket.js';
import { phpCode } from './php-sdk.js';

const phpIsHere = await packages.php();

const documents = `
queues:
  photo_added: { topics: { scale: { target: pull } } }
  import_done: { password: s3cret, topics: { report: { target: pull } } }
`;

needs(describe, phpIsHere)('batches from PHP', () => {
  let bus: Bus;

  beforeAll(async () => {
    bus = await startBus({ documents });
  });

  afterAll(() => bus?.stop());

  const run = async (code: string) => {
    const options = `['address' => '127.0.0.1:${bus.ports.redis}', 'passwords' => ['import_done' => 's3cret']]`;
    return JSON.parse(await phpCode(`Bus::configure(${options}); ${code}`));
  };

  test('is opened, filled and closed; the event that follows has its own parameters and the totals', async () => {
    const { id, ids, closed } = await run(`
      $batch = Batch::open(Event::name('import_done')->with(['import' => 7])->header('user', '7'), Batch::SUCCESS, 60);
      $ids = [$batch->publish(Event::name('photo_added')->with(['photo' => 1]))];
      array_push($ids, ...$batch->publishAll([Event::name('photo_added'), Event::name('photo_added')]));
      echo json_encode(['id' => $batch->id(), 'ids' => $ids, 'closed' => $batch->close()]);`);
    expect(ids).toHaveLength(3);
    expect(closed).toMatchObject({ id, state: 'closed', jobs: 3, open: 3, errors: [] });
    const scale = { queue: 'photo_added', topic: 'scale', consumer: 'test' };
    await bus.storage.fetch({ ...scale, maxJobs: 3, waitMs: 0, leaseMs: 0, settle: true });
    const status = await run(`echo json_encode(Batch::of('${id}', 'import_done')->status());`);
    expect(status).toMatchObject({ state: 'ended', done: 3, open: 0 });
    const { job } = await bus.storage.getJob({ jobId: status['then-job'] });
    expect(JSON.parse(Buffer.from(job?.body ?? []).toString())).toEqual({
      v: 1,
      event: 'import_done',
      params: { import: 7 },
    });
    expect(job?.headers).toMatchObject({ user: '7' });
    const totals = JSON.parse(job?.headers['malabar-batch-totals'] ?? '{}');
    expect(totals).toMatchObject({ batch: id, jobs: 3, done: 3 });
    const context = `new Context(['queue' => 'import_done', 'headers' => ['malabar-batch' => 'b',
      'malabar-batch-totals' => '{"jobs":3}']])`;
    const seen = await run(`$c = ${context}; echo json_encode([$c->batch(), $c->batchTotals()]);`);
    expect(seen).toEqual(['b', { jobs: 3 }]);
  });

  test('what cannot be is refused with its reason', async () => {
    const refusal = (code: string) =>
      run(`try { ${code} } catch (\\Exception $e) { echo json_encode($e->getMessage()); }`);
    expect(await refusal(`Batch::open(Event::name('import_done')->delay(5));`)).toBe(
      'an event that follows a batch takes no DELAY',
    );
    expect(await refusal(`Batch::open(Event::name('import_done'), 'SOMETIMES');`)).toMatch(
      /BATCHOPEN ON SOMETIMES: ALWAYS or SUCCESS/,
    );
    expect(await refusal(`Event::name('photo_added')->batch('none')->publish();`)).toMatch(
      /batch 'none' has ended or was never opened/,
    );
    const socket = await RespSocket.open(bus.ports.redis);
    const id = await run(`echo json_encode(Batch::open(Event::name('import_done'))->id());`);
    for (const command of ['BATCHSHOW', 'BATCHCLOSE'])
      expect(String(await socket.ask(command, id))).toMatch(/NOAUTH/);
    socket.close();
  });
});
