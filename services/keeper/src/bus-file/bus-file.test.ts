import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError } from '@malabar/config';
import type { keeper } from '@malabar/contracts';
import { systemClock, verifyPassword } from '@malabar/core';
import { eventually } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { describeBackends, type Place } from '../backends.suite.js';
import { type Stage, type StageOptions, setKey, stage } from './bus-file.suite.js';

const ONE = 'queues:\n  paid:\n    topics: { ship: { target: pull } }\n';
const TWO = `${ONE}  sent:\n    topics: { mail: { target: grpc } }\n`;
const BROKEN = 'queues:\n  paid:\n    topics:\n      ship: { target: pull, timeout: 30 }\n';

/** A keeper that has taken its file over. */
async function started(place: Place, options: StageOptions): Promise<Stage> {
  const one = await stage(place, options);
  await one.busFile.start();
  return one;
}

const save = async ({ file, busFile }: Stage, text: string): Promise<void> => {
  writeFileSync(file, text);
  await busFile.check();
};

const names = ({ queues }: keeper.BusConfig): string[] => queues.map(({ name }) => name);

describeBackends('malabar.yaml', (place) => {
  test('the file is published at the start, and a saved one as the next release', async () => {
    const keeper = await started(await place(), { text: ONE });
    expect(keeper.release()).toBe(1);
    expect(await keeper.busConfig()).toMatchObject({ queues: [{ name: 'paid' }] });
    await save(keeper, TWO);
    expect(keeper.release()).toBe(2);
    expect(names(await keeper.busConfig())).toEqual(['paid', 'sent']);
    const [release] = await keeper.store.listReleases({ domain: 'malabar', before: 0, limit: 1 });
    expect(release).toMatchObject({ author: 'file', note: keeper.file });
  });

  test('what a release changes is logged as the file names it', async () => {
    const keeper = await started(await place(), { text: TWO });
    await save(keeper, `${ONE.replace('pull', 'grpc')}  new: { topics: {} }\n`);
    expect(keeper.entries.at(-1)).toMatchObject({ message: 'release 2 published' });
    expect(keeper.entries.at(-1)?.fields).toEqual({
      domain: 'malabar',
      release: 2,
      added: ['queues.new'],
      removed: ['queues.sent'],
      changed: ['queues.paid'],
    });
  });

  test('a file saved without a change of content publishes nothing', async () => {
    const keeper = await started(await place(), { text: ONE });
    await save(keeper, `# a comment\n${ONE}`);
    expect(keeper.release()).toBe(1);
    expect(keeper.lines()).toEqual(['release 1 published']);
  });

  test('a broken file is refused with its lines, once, and the last good release stays', async () => {
    const keeper = await started(await place(), { text: ONE });
    await save(keeper, BROKEN);
    await keeper.busFile.check();
    expect(keeper.release()).toBe(1);
    const fault = `${keeper.file}:4:29: queues.paid.topics.ship.timeout: '30' has no unit; write '30s' or '30ms'`;
    expect(keeper.lines()).toEqual([
      'release 1 published',
      `refused: ${fault}`,
      'the configuration file is refused; what was published last stays in force',
    ]);
    expect(keeper.busFile.refusal).toBe(fault);
    expect(await keeper.figure('malabar_keeper_config_refused_total')).toBe(1);
    expect(await keeper.figure('malabar_keeper_config_broken')).toBe(1);
  });

  test('a good file after a broken one is taken over', async () => {
    const keeper = await started(await place(), { text: ONE });
    await save(keeper, BROKEN);
    await save(keeper, TWO);
    expect(keeper.release()).toBe(2);
    expect(keeper.busFile.refusal).toBeUndefined();
    expect(await keeper.figure('malabar_keeper_config_broken')).toBe(0);
    expect(keeper.lines().at(-1)).toBe('the configuration file is good again');
  });

  test.each([
    ['empty', (file: string) => writeFileSync(file, ''), 'is empty'],
    ['gone', (file: string) => rmSync(file), 'cannot be read: there is no such file'],
  ])('a file that is %s never takes the queues away', async (_, spoil, reason) => {
    const keeper = await started(await place(), { text: ONE });
    spoil(keeper.file);
    await keeper.busFile.check();
    expect(keeper.release()).toBe(1);
    expect(keeper.busFile.refusal).toBe(`${keeper.file}: ${reason}`);
  });

  test('a keeper refuses to start with a broken file and names every fault', async () => {
    const { busFile, file } = await stage(await place(), {
      text: `${BROKEN}  paid2: {}\nlogg: {}\n`,
    });
    const error = await busFile.start().catch((thrown) => thrown);
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message.split('\n')).toEqual([
      `${file}:4:29: queues.paid.topics.ship.timeout: '30' has no unit; write '30s' or '30ms'`,
      `${file}:5:3: queues.paid2.topics: is required; { } for a queue that only keeps its jobs`,
      `${file}:6:1: logg: unknown key; did you mean 'log'?`,
    ]);
  });

  test('faults of secrets are named for every document, before anything is published', async () => {
    const missing = 'password: { secret: env:MISSING }';
    const { busFile, file, release } = await stage(await place(), {
      text: `queues: { a: { ${missing}, topics: {} } }\npeople: { ann: { ${missing} } }\n`,
    });
    await expect(busFile.start()).rejects.toThrow(
      `${file}:1:16: queues.a.password: the variable of env:MISSING is not set\n` +
        `${file}:2:18: people.ann.password: the variable of env:MISSING is not set`,
    );
    expect(release()).toBe(0);
  });

  test('a changed setting of the process is reported as one that needs a restart', async () => {
    const keeper = await started(await place(), { text: ONE });
    await save(keeper, `log: { level: debug }\ningest: { redis: { enabled: false } }\n${ONE}`);
    expect(keeper.release()).toBe(1);
    expect(keeper.lines().at(-1)).toBe(
      'needs restart: ingest.redis.enabled, log.level changed in the file',
    );
  });

  test('an unchanged file keeps its release over restarts, and a changed one goes on', async () => {
    const at = await place();
    const first = await started(at, { text: ONE });
    await save(first, TWO);
    await first.busFile.stop();
    const second = await started(at, { dir: first.dir });
    expect(second.release()).toBe(2);
    await second.busFile.stop();
    const third = await started(at, { dir: first.dir, text: ONE });
    expect(third.release()).toBe(3);
    expect(names(await third.busConfig())).toEqual(['paid']);
  });

  test('passwords become hashes that stay over reloads and restarts', async () => {
    const at = await place();
    const text = ONE.replace('paid:\n', 'paid:\n    password: { secret: env:PAID }\n');
    const first = await started(at, { text, env: { PAID: 'tell nobody' } });
    const hashOf = async ({ busConfig }: Stage) => (await busConfig()).queues[0]?.passwordHash;
    const hash = (await hashOf(first)) ?? '';
    expect(await verifyPassword('tell nobody', hash)).toBe(true);
    await save(first, TWO.replace('paid:\n', 'paid:\n    password: tell nobody\n'));
    expect(first.release()).toBe(2);
    expect(await hashOf(first)).toBe(hash);
    await first.busFile.stop();
    const second = await started(at, { dir: first.dir });
    expect(second.release()).toBe(2);
    expect(await hashOf(second)).toBe(hash);
    const kept = await at.backend.list('');
    expect(kept.entries.filter(({ value }) => value.includes('tell nobody'))).toEqual([]);
    expect(kept.entries.filter(({ value }) => value.includes(hash))).toEqual([]);
  });

  test('a missing secret refuses the file until it is there, without another save', async () => {
    const at = await place();
    const keeper = await started(at, { text: ONE });
    const secret = join(keeper.dir, 'paid.secret');
    const password = `password: { secret: file:${secret} }`;
    await save(keeper, ONE.replace('paid:\n', `paid:\n    ${password}\n`));
    expect(keeper.busFile.refusal).toBe(
      `${keeper.file}:3:5: queues.paid.password: the secret of file:${secret} cannot be read: ENOENT`,
    );
    writeFileSync(secret, 'now it is\n');
    await at.clock.advance(2_000);
    await eventually(() => expect(keeper.release()).toBe(2));
    const hash = (await keeper.busConfig()).queues[0]?.passwordHash ?? '';
    expect(await verifyPassword('now it is', hash)).toBe(true);
  });

  test('without any file event the periodic look finds the change', async () => {
    const at = await place();
    const keeper = await started(at, { text: ONE });
    writeFileSync(keeper.file, TWO);
    await eventually(async () => {
      await at.clock.advance(2_000);
      expect(keeper.release()).toBe(2);
    });
  });

  test.each([
    ['writes in place', (file: string) => writeFileSync(file, TWO)],
    [
      'writes beside and renames',
      (file: string) => {
        writeFileSync(`${file}~`, TWO);
        renameSync(`${file}~`, file);
      },
    ],
  ])('an editor that %s is heard within the debounce', async (_, save) => {
    const keeper = await started(await place(), { text: ONE, clock: systemClock });
    save(keeper.file);
    await eventually(() => expect(keeper.release()).toBe(2));
  });

  test('a file without documents owns none and publishes nothing', async () => {
    const keeper = await started(await place(), { text: 'log: { level: info }\n' });
    expect(keeper.release()).toBe(0);
    await save(keeper, 'systems: { shop: { owner: team } }\n');
    await keeper.edit(setKey('paid', 'document', 'json', '{"topics":{},"system":"shop"}'));
    await save(keeper, 'systems: { shop: { owner: others } }\n');
    expect(keeper.release()).toBe(3);
    expect(names(await keeper.busConfig())).toEqual(['paid']);
  });

  test('documents that the file does not have any more stay, and the log says so once', async () => {
    const keeper = await started(await place(), { text: `systems: { shop: }\n${ONE}` });
    await save(keeper, 'systems: { shop: }\n');
    await save(keeper, '# again\nsystems: { shop: }\n');
    expect(keeper.release()).toBe(1);
    expect(names(await keeper.busConfig())).toEqual(['paid']);
    expect(keeper.lines().slice(1)).toEqual([
      'the file says nothing of /queues.conf any more; it stays as it is',
    ]);
  });

  test('what others change stays until the file says something else', async () => {
    const at = await place();
    const first = await started(at, { text: ONE });
    await first.edit(setKey('paid', 'document', 'json', '{"topics":{},"retention":"9d"}'));
    await save(first, `# a comment\n${ONE}`);
    await first.busFile.stop();
    const second = await started(at, { dir: first.dir });
    expect(second.release()).toBe(2);
    expect(second.lines()).toEqual([
      'the file is not what is in force: release 2 by ann came after it',
    ]);
    await save(second, TWO);
    expect(second.release()).toBe(3);
    expect(await second.busConfig()).toMatchObject({
      queues: [{ name: 'paid', topics: [{ name: 'ship' }] }, { name: 'sent' }],
    });
  });

  test('a password that somebody else sets stays over a restart with the unchanged file', async () => {
    const at = await place();
    const text = 'queues: { paid: { password: of the file, topics: {} } }\n';
    const first = await started(at, { text });
    await first.edit(setKey('paid', 'password', 'secret', 'of ann'));
    const hash = (await first.busConfig()).queues[0]?.passwordHash ?? '';
    expect(await verifyPassword('of ann', hash)).toBe(true);
    await first.busFile.stop();
    const second = await started(at, { dir: first.dir });
    expect(second.release()).toBe(2);
  });

  test('schema and parent of a file are kept when malabar.yaml is saved', async () => {
    const keeper = await started(await place(), { text: ONE });
    const schema = '{"keys": {"document": {"type": "json"}}}';
    const value = { file: '/queues.conf', schema };
    await keeper.edit({ operation: { $case: 'setSchema', value } });
    await save(keeper, TWO);
    expect((await keeper.files())[0]?.schema).toBe(schema);
  });

  test('people of the file are published beside those who were added otherwise', async () => {
    const at = await place();
    const keeper = await started(at, { text: 'people: { ann: { grants: { "*": admin } } }\n' });
    const domain = 'malabar.people';
    const value = {
      file: '/users.conf',
      section: 'bob',
      key: 'disabled',
      type: 'bool',
      raw: 'true',
    };
    await keeper.store.publish(
      {
        domain,
        expectedRelease: 1,
        draftRevision: 0,
        operations: [{ operation: { $case: 'setKey', value } }],
        canary: undefined,
        note: '',
      },
      { name: 'ann', from: 'test' },
    );
    await save(keeper, 'people: { eve: { grants: { "*": viewer } } }\n');
    const [users] = await keeper.files(domain);
    expect(users?.sections.map(({ name }) => name)).toEqual(['bob', 'eve']);
  });
});

describeBackends('several keepers with a file each', (place) => {
  const keepers = async (at: Place, text: string): Promise<[Stage, Stage]> => [
    await started(at, { text, shared: true, clock: systemClock }),
    await started(at, { text, shared: true, clock: systemClock }),
  ];

  test('equal files are one release', async () => {
    const [one, other] = await keepers(await place(), ONE);
    expect([one.release(), other.release()]).toEqual([1, 1]);
    await Promise.all([save(one, TWO), save(other, TWO)]);
    await eventually(() => expect([one.release(), other.release()]).toEqual([2, 2]));
  });

  test('equal passwords are one hash', async () => {
    const text = 'queues: { paid: { password: same, topics: {} } }\n';
    const [one, other] = await keepers(await place(), text);
    const both = [
      save(one, text.replace('same', 'next')),
      save(other, text.replace('same', 'next')),
    ];
    await Promise.all(both);
    await eventually(() => expect([one.release(), other.release()]).toEqual([2, 2]));
  });

  test('a keeper that starts with an older file publishes nothing until it is saved', async () => {
    const at = await place();
    const [one, other] = await keepers(at, ONE);
    await save(one, TWO);
    await other.busFile.stop();
    const again = await started(at, { dir: other.dir, shared: true });
    expect(again.release()).toBe(2);
    expect(again.lines()).toEqual([
      'the file is older than what another keeper has published of it; save it again to mean it',
    ]);
    await save(again, `# meant\n${ONE}`);
    expect(again.release()).toBe(3);
  });
});
