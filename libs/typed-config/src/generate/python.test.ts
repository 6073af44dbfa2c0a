import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { needs, packages, python } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { generate } from './generate.js';
import { agentJson, generatedFrom, nodeFiles, writeGenerated } from './generate.suite.js';

const MAIN = `
import json, sys
from datetime import timedelta
from types import SimpleNamespace
from app import Config, TypesConfig, read_global

def message(files):
    """The same attributes as the protobuf message."""
    return SimpleNamespace(files=[
        SimpleNamespace(name=f['name'], section=f['section'],
                        values=[SimpleNamespace(**v) for v in f['values']]) for f in files])

files = json.load(open('files.json'))
for source in message(files), json.load(open('agent.json')):
    config = Config()
    try:
        config.types
    except LookupError as error:
        print(error)
    config.update(source)
    types = config.types
    assert isinstance(types, TypesConfig)
    assert types.timeout == '20' and types.debug is True and types.workers == 1, types
    assert types.user_id == 9223372036854775807 and isinstance(types.ratio, float), types
    assert types.city_list == ['jinan', 'sydney'] and types.weights == [0.5, 1.0], types
    assert types.city == {'jinan': 'sd', 'sy': 'ln'} and types.feat == {'a': True, 'b': False}, types
    assert types.masters == {'0': ['h1:1527:pw'], '1': ['h2:1528', 'h3:1529']}, types
    assert types.code_names == {1: 'one', 2: 't:w:o'} and types.code_on == {1: True, 2: False}, types
    assert types.blocked == {'10.0.0.1', '10.0.0.2'} and types.blocked_ids == {7, 8}, types
    assert types.sleep == timedelta(hours=1, minutes=30), types
    assert types.addr == {'http': '127.0.0.1:8000', 'tries': 3}, types
    assert types.password == 's3cr3t;#"x' and types.class_ is True and types.maybe is None, types
    assert types.default_wait == timedelta(seconds=1.5) and types.default_set == {7}, types
    assert types.default_text == 'it\\'s "a\\\\b" $x' and types.default_doc == {'a': [1, None]}, types
    assert config.redis_master.a_b == '1' and config.redis_master.key_80 == 2
    assert config.empty.strings == [''] and config.empty.doc is None
    assert config.global_.b == '2' and config.global_.d is None
    assert read_global(source).a == '1'
    try:
        config.update({'global': {'a': True, 'b': 'x'}})
    except ValueError as error:
        print(error)
    assert config.global_.b == '2'
    try:
        types.workers = 2
    except AttributeError:
        print('frozen')
`;

needs(test, await packages.pythonGrpc())('Python reads every type from both sources', async () => {
  const cwd = writeGenerated(generate('python', generatedFrom), 'app');
  const files = nodeFiles('/types.conf', '/empty.conf', '/zy/global.conf', '/redis_master.conf');
  writeFileSync(join(cwd, 'main.py'), MAIN);
  writeFileSync(join(cwd, 'files.json'), JSON.stringify(files));
  writeFileSync(join(cwd, 'agent.json'), agentJson(files));
  const { stdout, stderr } = await python(['main.py'], { cwd });
  expect(stderr).toBe('');
  const once = [
    'types is not subscribed, or nothing was taken over yet',
    "global: key 'a' is not of type string; key 'c' is missing",
    'frozen',
  ];
  expect(stdout.trim().split('\n')).toEqual([...once, ...once]);
});
