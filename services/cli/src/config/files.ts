import type { config } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type { ConfigAccess } from './domain.js';

/** Which files of which state. */
export interface Wanted {
  domain: string;
  state: config.StateRef;
  /** One file; all of them without. */
  path?: string;
  /** Secrets as they are. */
  reveal?: boolean;
}

/** The files of a state, by path; one that was named and is not there is an error. */
export async function getFiles(
  { service, timeoutMs }: ConfigAccess,
  { domain, state, path = '', reveal = false }: Wanted,
): Promise<config.GetFilesResponse> {
  const answer = await service.getFiles({ domain, state, path, reveal }, { timeoutMs });
  if (path === '' || answer.files.length > 0) return answer;
  throw new BusError('NOT_FOUND', `domain '${domain}' has no file ${path} there`);
}
