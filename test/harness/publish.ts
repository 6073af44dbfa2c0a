import { BUS_DOMAIN, createPasswordHashes, documentsToFiles, readConfig } from '@malabar/config';
import { config } from '@malabar/contracts';
import { connect } from '@malabar/rpc';
import { eventually } from '@malabar/testkit';

/** Publishes what stands in a malabar.yaml, as whoever edits the keeper's domain by hand does. */
export async function publishDocuments(keepers: readonly string[], text: string): Promise<void> {
  const loaded = readConfig({ file: 'malabar.yaml', text });
  const files = await documentsToFiles(loaded, { env: {}, hashes: createPasswordHashes() });
  const operations = files.map((file) => ({
    operation: { $case: 'putFile' as const, value: { file } },
  }));
  const service = connect(config.ConfigServiceDefinition, { address: async () => [...keepers] });
  const publish = async (): Promise<void> => {
    const { domain } = await service.getDomain({ domain: BUS_DOMAIN });
    await service.publish({
      domain: BUS_DOMAIN,
      expectedRelease: domain?.release ?? 0,
      draftRevision: 0,
      operations,
      canary: undefined,
      note: 'test',
    });
  };
  try {
    // Keepers that have just started may be about to make the domain's first release themselves.
    await eventually(publish, { timeoutMs: 20_000 });
  } finally {
    service.close();
  }
}
