import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempDir } from './workspace.js';

/** PEM files of one authority and of the certificates that it signed. */
export interface Authority {
  ca: string;
  /** A certificate for 127.0.0.1 and localhost. */
  issue(name: string): { cert: string; key: string };
}

/** Makes an authority with the openssl program. */
export function createAuthority(): Authority {
  const dir = tempDir('tls');
  const at = (file: string): string => join(dir, file);
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { stdio: 'pipe' });
  };
  const keyArgs = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const caArgs = ['-subj', '/CN=test authority', '-days', '2'];
  openssl('req', '-x509', ...keyArgs, ...caArgs, '-keyout', at('ca.key'), '-out', at('ca.pem'));
  writeFileSync(at('names'), 'subjectAltName=IP:127.0.0.1,DNS:localhost');
  return {
    ca: at('ca.pem'),
    issue(name) {
      const [cert, key, request] = [at(`${name}.pem`), at(`${name}.key`), at(`${name}.csr`)];
      openssl('req', ...keyArgs, '-subj', `/CN=${name}`, '-keyout', key, '-out', request);
      const signer = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial'];
      const what = ['-req', '-in', request, '-out', cert, '-days', '2', '-extfile', at('names')];
      openssl('x509', ...what, ...signer);
      return { cert, key };
    },
  };
}
