import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { needs, packages, php } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { generate } from './generate.js';
import { agentJson, generatedFrom, nodeFiles, writeGenerated } from './generate.suite.js';

const MAIN = `<?php
require __DIR__ . '/Config.php';
$config = Config\\Config::load(__DIR__ . '/values.php');
var_dump($config->types()->sleep, $config->types()->ratio, $config->types()->userId);
echo json_encode([$config->types(), $config->redisMaster(), $config->global(), $config->empty()]), "\\n";
foreach ([['global' => ['a' => '1', 'b' => 1]], []] as $files) {
    try {
        (new Config\\Config($files))->global();
    } catch (UnexpectedValueException $error) {
        echo $error->getMessage(), "\\n";
    }
}
`;

needs(test, await packages.php())('PHP reads every type from the file of the agent', async () => {
  const cwd = writeGenerated(generate('php', generatedFrom));
  writeFileSync(join(cwd, 'main.php'), MAIN);
  const files = nodeFiles('/types.conf', '/empty.conf', '/zy/global.conf', '/redis_master.conf');
  const json = agentJson(files).replaceAll(/['\\]/g, '\\$&');
  writeFileSync(join(cwd, 'values.php'), `<?php return json_decode('${json}', true);`);
  const { stdout, stderr } = await php(['-d', 'error_reporting=-1', join(cwd, 'main.php')]);
  expect(stderr).toBe('');
  const [sleep, ratio, id, values, ...errors] = stdout.trim().split('\n');
  expect([sleep, ratio, id]).toEqual(['float(5400)', 'float(1000)', 'int(9223372036854775807)']);
  const [types, redis, global, empty] = JSON.parse(values ?? '');
  expect(types).toMatchObject({
    timeout: '20',
    cityList: ['jinan', 'sydney'],
    weights: [0.5, 1],
    flags: [true, false, true],
    masters: [['h1:1527:pw'], ['h2:1528', 'h3:1529']],
    codeNames: { 1: 'one', 2: 't:w:o' },
    blocked: { '10.0.0.1': true, '10.0.0.2': true },
    addr: { http: '127.0.0.1:8000', tries: 3 },
    password: 's3cr3t;#"x',
    defaultWait: 1.5,
    defaultSet: { 7: true },
    defaultText: `it's "a\\b" $x`,
    maybe: null,
    class: true,
  });
  expect(redis).toEqual({ key80: 2, aB: '1', msgTypeMap: { a: true } });
  expect(global).toEqual({ a: '1', b: '2', c: '1', d: null });
  expect(empty).toMatchObject({ strings: [''], sl: [], doc: null });
  expect(errors).toEqual([
    "global: key 'b' is not of type string; key 'c' is missing",
    'global is not among the files of the agent',
  ]);
});

needs(test, await packages.php())('every class passes the syntax check', async () => {
  const generated = generate('php', generatedFrom, { package: 'Acme\\Config' });
  const cwd = writeGenerated(generated);
  for (const { path, text } of generated) {
    expect(text).toContain('namespace Acme\\Config;');
    expect(await php(['-l', join(cwd, path)])).toMatchObject({ code: 0 });
  }
});
