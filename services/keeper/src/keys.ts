/**
 * Where the keeper keeps what, in every backend; proto/malabar/keeper/v1/records.proto says what the
 * values are. Names have no slash in them. Numbers are padded, so that keys sort as they count.
 *
 *     domain/<name>                  DomainRecord: what every change of a domain compares and sets
 *     tombstone/<name>               DomainRecord of a deleted domain, numbers only
 *     release/<domain>/<number>      ReleaseRecord
 *     blob/<domain>/<sha256>/<n>     part n of an encoded ConfigFile
 *     loose/<domain>/<time>-<id>     Manifest of blobs that nothing may need
 *     audit/<time>-<id>              AuditEntry
 *     audit-of/<domain>/<time>-<id>  empty: the entries of a domain
 *     keyring                        KeyringRecord
 *     instance/...                   who runs where: discovery/keys.ts
 *     election/...                   who leads: election/keys.ts
 */
export const keys = {
  domains: 'domain/',
  domain: (domain: string) => `domain/${domain}`,
  tombstones: 'tombstone/',
  tombstone: (domain: string) => `tombstone/${domain}`,
  releases: (domain: string) => `release/${domain}/`,
  release: (domain: string, number: number) => `release/${domain}/${padded(number)}`,
  blobs: (domain: string) => `blob/${domain}/`,
  blob: (domain: string, hash: Uint8Array, part: number) =>
    `blob/${domain}/${Buffer.from(hash).toString('hex')}/${part}`,
  allLoose: 'loose/',
  loose: (domain: string, stamp: string) => `loose/${domain}/${stamp}`,
  allAudit: 'audit/',
  audit: (stamp: string) => `audit/${stamp}`,
  allAuditOf: 'audit-of/',
  auditOf: (domain: string, stamp = '') => `audit-of/${domain}/${stamp}`,
  keyring: 'keyring',
} as const;

const DIGITS = 16;

function padded(number: number): string {
  return String(number).padStart(DIGITS, '0');
}

/** The last part of a key. */
export function lastPart(key: string): string {
  return key.slice(key.lastIndexOf('/') + 1);
}

/** The part of a key that names the domain. */
export function domainOf(key: string): string {
  return key.split('/')[1] ?? '';
}
