import { statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { formatBytes, formatCount } from '../format.js';
import { type Finding, fine, wrong } from './check.js';

const NODE_MIN = [20, 19] as const;
const FREE_BYTES_MIN = 1024 ** 3;
/** Descriptors beside those of producers: store files, gRPC, php-fpm, workers. */
const DESCRIPTORS_BESIDE = 1_000;

/** Is this Node new enough? */
export function checkNode(version: string): Finding {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  const enough = major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1]);
  if (enough) return fine('node', version);
  return wrong('node', version, `install Node ${NODE_MIN.join('.')} or later`);
}

/** May this process open a descriptor for each producer that the configuration allows? */
export function checkDescriptors(limit: number | 'unlimited', connectionsMax: number): Finding {
  const needed = connectionsMax + DESCRIPTORS_BESIDE;
  if (limit === 'unlimited' || limit >= needed) {
    return fine('file descriptors', limit === 'unlimited' ? limit : formatCount(limit));
  }
  const todo = `raise it (ulimit -n ${needed}, LimitNOFILE= in systemd) or lower ingest.connections_max`;
  return wrong('file descriptors', `${formatCount(limit)} of ${formatCount(needed)}`, todo);
}

/** The limit of open descriptors as the kernel gives it to this process. */
export function descriptorLimit(): number | 'unlimited' {
  const report = process.report.getReport() as {
    userLimits?: { open_files?: { soft?: number | 'unlimited' } };
  };
  return report.userLimits?.open_files?.soft ?? 'unlimited';
}

/** Is there room where the store lies? */
export async function checkDisk(path: string): Promise<Finding> {
  const { bavail, bsize, where } = await nearest(resolve(path));
  const free = bavail * bsize;
  const seen = `${formatBytes(free)} free at ${where}`;
  if (free >= FREE_BYTES_MIN) return fine('disk', seen);
  return wrong('disk', seen, 'make room; a full disk refuses new jobs');
}

/** The file system that `path` lies on or will lie on. */
async function nearest(path: string): Promise<{ bavail: number; bsize: number; where: string }> {
  for (let where = path; ; where = dirname(where)) {
    try {
      const { bavail, bsize } = await statfs(where);
      return { bavail, bsize, where };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || where === dirname(where))
        throw error;
    }
  }
}
