/** The samples of one metric, with what is said about it. */
interface Family {
  help?: string;
  type?: string;
  samples: string[];
}

/** One process's figures in Prometheus text format. */
export interface Figures {
  /** Becomes the label `instance`. */
  instance: string;
  text: string;
}

/**
 * Joins the figures of processes into one valid text: every sample gets a label `instance`, HELP
 * and TYPE of a metric stand once, before its samples. Lines that are no sample are dropped.
 * https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
 */
export function federate(all: readonly Figures[]): string {
  const families = new Map<string, Family>();
  for (const figures of all) collect(figures, families);
  const lines: string[] = [];
  for (const [name, { help, type, samples }] of families) {
    if (samples.length === 0) continue;
    if (help !== undefined) lines.push(`# HELP ${name} ${help}`);
    if (type !== undefined) lines.push(`# TYPE ${name} ${type}`);
    lines.push(...samples);
  }
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

const COMMENT = /^# (HELP|TYPE) (\S+) (.*)$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? (.+)$/;

function collect({ instance, text }: Figures, families: Map<string, Family>): void {
  const label = `instance="${escapeLabel(instance)}"`;
  let current = '';
  for (const line of text.split('\n')) {
    const comment = COMMENT.exec(line);
    if (comment) {
      const [, kind, name = '', said = ''] = comment;
      const family = familyOf(families, name);
      if (kind === 'HELP') family.help ??= said;
      else family.type ??= said;
      current = name;
      continue;
    }
    const [, name, labels, rest] = SAMPLE.exec(line) ?? [];
    if (name === undefined) continue;
    const family = familyOf(families, belongsTo(name, current) ? current : name);
    family.samples.push(`${name}{${label}${innerLabels(labels)}} ${rest}`);
  }
}

function familyOf(families: Map<string, Family>, name: string): Family {
  let family = families.get(name);
  if (family === undefined) {
    family = { samples: [] };
    families.set(name, family);
  }
  return family;
}

/** The samples of histograms and summaries carry the name of their metric with an ending. */
function belongsTo(sample: string, family: string): boolean {
  if (!sample.startsWith(family) || family === '') return false;
  return ['', '_bucket', '_sum', '_count'].includes(sample.slice(family.length));
}

function innerLabels(labels: string | undefined): string {
  const inner = labels?.slice(1, -1) ?? '';
  return inner === '' ? '' : `,${inner}`;
}

function escapeLabel(value: string): string {
  return value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
}
