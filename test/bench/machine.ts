import { readFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';

/** Jiffies per second, as /proc counts; fixed at 100 on every Linux that we run on. */
const HZ = 100;

/** What a reader must know to judge the figures. */
export function describeMachine(): string {
  const [cpu] = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${cpus().length} x ${cpu?.model ?? 'cpu'}, ${memory} GiB, Node ${process.version}`;
}

/** Share of the machine's time that its host took away since boot began counting, in jiffies. */
function cpuTimes(): { total: number; steal: number } {
  const fields = (readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? '').split(/\s+/).slice(1);
  const times = fields.slice(0, 8).map(Number);
  return { total: times.reduce((a, b) => a + b, 0), steal: times[7] ?? 0 };
}

/** Begins to watch the machine; the returned function tells what it was like since. */
export function watchMachine(): () => string {
  const before = cpuTimes();
  return () => {
    const now = cpuTimes();
    const steal = (100 * (now.steal - before.steal)) / Math.max(1, now.total - before.total);
    return `load ${loadavg()[0]?.toFixed(2)}, steal ${steal.toFixed(1)} %`;
  };
}

/** CPU seconds that processes have used, user and system together. */
export function cpuSeconds(pids: readonly number[]): number {
  let jiffies = 0;
  for (const pid of pids) {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    jiffies += Number(fields[11]) + Number(fields[12]);
  }
  return jiffies / HZ;
}

/** Resident memory of a process in MiB: its own, and pages of files that it maps (the kernel may take those back). */
export function residentMib(pid: number): { own: number; mapped: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kib = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]);
  return { own: kib('RssAnon') / 1024, mapped: kib('RssFile') / 1024 };
}
