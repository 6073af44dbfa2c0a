import { pathFault, sectionFault } from './names.js';

/** A file, and the section that is laid over its DEFAULT; empty for none. */
export interface SubscriptionPath {
  file: string;
  section: string;
}

/**
 * A subscription as gokeeper writes it: `/redis.conf` for the DEFAULT chain of a file, or
 * `/redis.conf/web-1` for a section above it. A missing first slash is forgiven. What ends with
 * `.conf` is a file. Undefined if it is neither.
 */
export function parseSubscription(text: string): SubscriptionPath | undefined {
  const path = text.startsWith('/') ? text : `/${text}`;
  if (pathFault(path) === undefined) return { file: path, section: '' };
  const slash = path.lastIndexOf('/');
  const [file, section] = [path.slice(0, slash), path.slice(slash + 1)];
  const fits = pathFault(file) === undefined && sectionFault(section) === undefined;
  return fits ? { file, section } : undefined;
}
