import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { needs, packages, run } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { generate } from './generate.js';
import { agentJson, generatedFrom, nodeFiles, writeGenerated } from './generate.suite.js';

const MAIN = `package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"example.com/app/data"
)

func main() {
	func() {
		defer func() { fmt.Println(recover()) }()
		data.CurrentTypes()
	}()
	if err := data.Load(os.Args[1]); err != nil {
		panic(err)
	}
	types := data.CurrentTypes()
	var sleep time.Duration = types.Sleep
	var id int64 = types.UserId
	_, blocked := types.BlockedIds[7]
	fmt.Println(sleep, id, blocked, types.Addr.Http, *types.Addr.Tries, types.Maybe == nil)
	fmt.Println(data.CurrentEmpty().Doc == nil, data.CurrentGlobal().D == nil)
	show(types)
	show(data.CurrentRedis_master())
	fmt.Println(data.LoadBytes([]byte(\`{"global": {"a": "new", "b": 1}, "types": {}}\`)))
	fmt.Println(data.CurrentGlobal().A)
	fmt.Println(data.ObjectsContainer.Update("Global", &data.Global{A: "by hand"}))
	fmt.Println(data.CurrentGlobal().A, len(data.ObjectsContainer.GetStructs()))
	fmt.Println(data.ObjectsContainer.Update("Global", 1), data.ObjectsContainer.Update("None", 1))
}

func show(v interface{}) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}
`;

needs(test, await packages.golang())('Go reads every type from the file of the agent', async () => {
  const cwd = writeGenerated(generate('go', generatedFrom), 'data');
  writeFileSync(join(cwd, 'go.mod'), 'module example.com/app\n\ngo 1.19\n');
  writeFileSync(join(cwd, 'main.go'), MAIN);
  const files = nodeFiles('/types.conf', '/empty.conf', '/zy/global.conf', '/redis_master.conf');
  writeFileSync(join(cwd, 'config.json'), agentJson(files));
  const options = { cwd, timeoutMs: 300_000, env: { GOFLAGS: '-mod=mod', GOPROXY: 'off' } };
  expect(await run('gofmt', ['-l', '.'], options)).toMatchObject({ code: 0, stdout: '' });
  expect(await run('go', ['vet', './...'], options)).toMatchObject({ code: 0, stderr: '' });
  const { stdout, stderr } = await run('go', ['run', '.', 'config.json'], options);
  expect(stderr).toBe('');
  const [panicked, line, nil, types, redis, ...rest] = stdout.trim().split('\n');
  expect(panicked).toBe('types is not loaded');
  expect(line).toBe('1h30m0s 9223372036854775807 true 127.0.0.1:8000 3 true');
  expect(nil).toBe('false true');
  expect(JSON.parse(types ?? '')).toMatchObject({
    Timeout: '20',
    Workers: 1,
    Ratio: 1000,
    CityList: ['jinan', 'sydney'],
    Masters: { 0: ['h1:1527:pw'], 1: ['h2:1528', 'h3:1529'] },
    CodeNames: { 1: 'one', 2: 't:w:o' },
    CodeOn: { 1: true, 2: false },
    Blocked: { '10.0.0.1': {}, '10.0.0.2': {} },
    Password: 's3cr3t;#"x',
    DefaultWait: 1_500_000_000,
    DefaultCodes: { 7: 'seven' },
    DefaultText: `it's "a\\b" $x`,
    Maybe: null,
  });
  expect(redis).toBe('{"Key80":2,"AB":"1","MsgTypeMap":{"a":true}}');
  expect(rest).toEqual([
    expect.stringMatching(/^types: key 'addr' is missing|^global: key 'b'/),
    '1',
    '<nil>',
    'by hand 13',
    'Global is no int there is no struct None',
  ]);
});
