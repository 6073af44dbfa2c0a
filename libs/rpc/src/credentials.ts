import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { ChannelCredentials, type Metadata, ServerCredentials } from '@grpc/grpc-js';
import { BusError } from '@malabar/core';

/** TLS of a listener or of a connection. Each field is a PEM text or the path of a PEM file. */
export interface TlsOptions {
  /** Certificate chain of this side. */
  cert?: string;
  /** Private key of `cert`. */
  key?: string;
  /** Who may sign the other side's certificate; default the system's authorities. */
  ca?: string;
  /** Servers: callers must show a certificate that `ca` signed (mTLS). */
  clientAuth?: boolean;
}

/** What a server shows and asks for. Throws INVALID, naming the field. */
export function serverCredentials(tls: TlsOptions | undefined): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure();
  const { cert, key, ca, clientAuth = false } = tls;
  if (cert === undefined || key === undefined) {
    throw new BusError('INVALID', 'a gRPC listener with tls needs tls.cert and tls.key');
  }
  if (clientAuth && ca === undefined) {
    throw new BusError('INVALID', 'tls.clientAuth needs tls.ca, which signs the callers');
  }
  const pair = { cert_chain: pem('tls.cert', cert), private_key: pem('tls.key', key) };
  return ServerCredentials.createSsl(
    ca === undefined ? null : pem('tls.ca', ca),
    [pair],
    clientAuth,
  );
}

/** What a client shows and trusts. Throws INVALID, naming the field. */
export function channelCredentials(tls: TlsOptions | undefined): ChannelCredentials {
  if (tls === undefined) return ChannelCredentials.createInsecure();
  const { cert, key, ca } = tls;
  return ChannelCredentials.createSsl(
    ca === undefined ? null : pem('tls.ca', ca),
    key === undefined ? null : pem('tls.key', key),
    cert === undefined ? null : pem('tls.cert', cert),
  );
}

function pem(field: string, value: string): Buffer {
  if (value.startsWith('-----BEGIN')) return Buffer.from(value);
  try {
    return readFileSync(value);
  } catch (error) {
    throw new BusError('INVALID', `${field}: ${(error as Error).message}`);
  }
}

/** A shared secret; in an object that shows it only on demand if logs could see it. */
export type Token = string | { reveal(): string };

/** Metadata key and value that prove a caller to be one of this bus. */
export function bearer(token: Token): { authorization: string } {
  return { authorization: `Bearer ${typeof token === 'string' ? token : token.reveal()}` };
}

/** Throws UNAUTHENTICATED unless the metadata carries the token. */
export function checkToken(token: Token, metadata: Metadata): void {
  const given = metadata.get('authorization')[0];
  if (given === undefined) {
    throw new BusError('UNAUTHENTICATED', 'internal calls need `authorization: Bearer <token>`');
  }
  if (!showsToken(token, metadata)) {
    throw new BusError('UNAUTHENTICATED', 'the bearer token is not the one of this bus');
  }
}

/** Whether the metadata carries the token. */
export function showsToken(token: Token, metadata: Metadata): boolean {
  const given = String(metadata.get('authorization')[0] ?? '');
  // Hashed so that the comparison takes the same time whatever the lengths.
  return timingSafeEqual(digest(given), digest(bearer(token).authorization));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
