import { config } from '@malabar/contracts';
import { bind, type Implementation, serve } from '@malabar/rpc';
import { eventually, logToMemory } from '@malabar/testkit';
import { expect, onTestFinished, test } from 'vitest';
import { describeBackends } from '../backends.suite.js';
import { instance, stage } from './discovery.suite.js';

/** A keeper that answers with its name. */
async function serveKeeper(name: string): Promise<string> {
  const { ConfigServiceDefinition: definition } = config;
  const implementation: Partial<Implementation<typeof definition>> = {
    listDomains: async () => ({ domains: [config.Domain.fromPartial({ name })] }),
  };
  const bindings = [bind(definition, implementation as Implementation<typeof definition>)];
  const server = await serve({ listen: '127.0.0.1:0', bindings, log: logToMemory().log });
  onTestFinished(() => server.close());
  return server.address;
}

const asKeeper = (id: string, grpc: string) =>
  instance(id, { service: 'keeper', addresses: { grpc } });

describeBackends('a keeper', (place) => {
  test('knows the others that are alive, and can call them', async () => {
    const { keeper, another } = await stage(await place());
    const second = await another();
    const [one, two] = [await serveKeeper('one'), await serveKeeper('two')];
    await keeper.registrar.register([asKeeper('keeper-1', one)], 60_000);
    await second.registrar.register([asKeeper('keeper-2', two)], 60_000);
    await eventually(() => expect(keeper.peers()).toHaveLength(1));
    const [peer] = keeper.peers();
    expect(peer?.keeperId).toBe('keeper-2');
    expect(await peer?.config.listDomains({})).toMatchObject({ domains: [{ name: 'two' }] });
    expect(keeper.peers()[0]?.config).toBe(peer?.config);
    expect(second.peers()).toMatchObject([{ keeperId: 'keeper-1' }]);
    await second.registrar.deregister([asKeeper('keeper-2', two)]);
    await eventually(() => expect(keeper.peers()).toEqual([]));
    await expect(peer?.config.listDomains({})).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});
