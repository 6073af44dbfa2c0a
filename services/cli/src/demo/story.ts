import type { Clock } from '@malabar/core';
import { firstLine, formatTimeOfDay } from '../format.js';
import type { Style, Terminal } from '../terminal.js';

/** Tells what happens, one line an event. */
export interface Story {
  accepted(job: Told, note: string): void;
  yes(topic: string, job: Told, attempt: number): void;
  no(topic: string, job: Told, attempt: number, words: string): void;
}

/** A job as far as the story needs it. */
export interface Told {
  jobId: string;
  body: string;
}

const LABEL = 20;

/** What people call the job: its order number, else the start of its body. */
function labelOf(body: string): string {
  try {
    const { order } = JSON.parse(body) as { order?: unknown };
    if (typeof order === 'string') return firstLine(order, LABEL);
  } catch {
    // Any bytes are a job; one that is no JSON is called by its text.
  }
  return firstLine(body, LABEL);
}

export function createStory(terminal: Terminal, clock: Clock): Story {
  function tell(verb: string, style: Style, job: Told, text: string): void {
    const time = formatTimeOfDay(clock.now());
    const label = labelOf(job.body).padEnd(5);
    const word = terminal.style(style, verb.padEnd(9));
    terminal.line(`${terminal.style('dim', time)}  ${word}  ${label}  ${text}`);
  }
  const tried = (topic: string, attempt: number): string =>
    `${topic.padEnd(4)}  ${attempt > 1 ? `attempt ${attempt}: ` : ''}`;
  return {
    accepted: (job, note) => tell('accepted', 'cyan', job, `on disk as ${job.jobId}${note}`),
    yes: (topic, job, attempt) => tell('done', 'green', job, `${tried(topic, attempt)}yes`),
    no: (topic, job, attempt, words) =>
      tell('failed', 'yellow', job, `${tried(topic, attempt)}no, "${words}"`),
  };
}
