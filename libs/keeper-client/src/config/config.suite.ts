import { config } from '@malabar/contracts';

/** A config of `shop` with one file, `redis`: `{ host: ['string', 'here'] }`. */
export function effective(
  release: number,
  values: Record<string, [type: string, raw: string]>,
  checksum = JSON.stringify(values),
): config.EffectiveConfig {
  return config.EffectiveConfig.fromPartial({
    domain: 'shop',
    release,
    checksum,
    files: [
      {
        name: 'redis',
        values: Object.entries(values).map(([key, [type, raw]]) => ({ key, type, raw })),
      },
    ],
  });
}
