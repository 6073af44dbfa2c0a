import { fileURLToPath } from 'node:url';
import { freePort, run } from '@malabar/testkit';
import { expect, test } from 'vitest';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));
const PROGRAM = `
  import { openKeeperClient } from './client.ts';
  const client = openKeeperClient({ addresses: [process.env.KEEPER], nodeId: 'one' });
  client.config.subscribe({ domain: 'shop', subscriptions: ['/app.conf'] });
  setTimeout(() => { console.log('waits'); client.close(); }, 300).unref();
`;

test('a program that waits for a keeper lives until it closes the client', async () => {
  const args = ['--conditions=source', '--import', 'tsx', '--input-type=module', '-e', PROGRAM];
  const env = { KEEPER: `127.0.0.1:${await freePort()}` };
  const { code, stdout } = await run(process.execPath, args, { cwd: FOLDER, env });
  expect(stdout).toBe('waits\n');
  expect(code).toBe(0);
});
