import { config } from '@malabar/contracts';
import { plural } from '../format.js';
import { canaryText } from './canary-rule.js';

/** `PUBLISHED` as `published`. */
export function releaseState({ state }: config.Release): string {
  return (config.ReleaseState[state] ?? 'unknown').toLowerCase();
}

/** A release for programs. */
export function releaseJson(release: config.Release): object {
  return { ...release, state: releaseState(release) };
}

/** What became of a release that was just made or moved, e.g. `shop: release 5 is published`. */
export function releaseLine(release: config.Release): string {
  const { domain, number, canary } = release;
  const state = releaseState(release);
  const what = state === 'canary' ? `is a canary for ${canaryText(canary)}` : `is ${state}`;
  return `${domain}: release ${number} ${what}, with ${plural(release.keys, 'key')}`;
}

/** A draft, e.g. `draft 3, made from release 4 by alice, bob`. */
export function draftText({ revision, baseRelease, authors }: config.DraftSummary): string {
  return `draft ${revision}, made from release ${baseRelease} by ${authors.join(', ')}`;
}
