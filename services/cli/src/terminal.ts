import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { styleText } from 'node:util';

/** Styles that the command uses; see `styleText` of node:util. */
export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

/** Where a command reads and writes; a test gives it strings. */
export interface Terminal {
  /** One line to stdout. */
  line(text?: string): void;
  /** Bytes to stdout, as they are. */
  write(bytes: Uint8Array): void;
  /** One line to stderr, where everything goes that is not the answer. */
  note(text: string): void;
  /** Text to stderr that a progress bar draws over. */
  draw(text: string): void;
  /** Styled if stdout shows colours, plain otherwise. */
  style(style: Style, text: string): string;
  /** A person can answer a question. */
  readonly interactive: boolean;
  /** stderr is a terminal, so a moving bar makes sense. */
  readonly animated: boolean;
  /** Everything that stands on stdin. */
  read(): Promise<Buffer>;
  /** Asks on stderr; the answer without its line end. A secret one is not shown while it is typed. */
  ask(question: string, secret?: boolean): Promise<string>;
}

/** The terminal of this process. Colours follow NO_COLOR, FORCE_COLOR and whether stdout is a TTY. */
export function createTerminal(process: NodeJS.Process): Terminal {
  const { stdin, stdout, stderr, env } = process;
  const coloured = env.NO_COLOR ? false : env.FORCE_COLOR ? true : stdout.isTTY === true;
  return {
    line: (text = '') => void stdout.write(`${text}\n`),
    write: (bytes) => void stdout.write(bytes),
    note: (text) => void stderr.write(`${text}\n`),
    draw: (text) => void stderr.write(text),
    style: (style, text) => (coloured ? styleText(style, text) : text),
    interactive: stdin.isTTY === true && stderr.isTTY === true,
    animated: stderr.isTTY === true,
    async read() {
      const chunks: Buffer[] = [];
      for await (const chunk of stdin) chunks.push(chunk as Buffer);
      return Buffer.concat(chunks);
    },
    async ask(question, secret = false) {
      stderr.write(question);
      const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
      const output = secret ? silent : stderr;
      const lines = createInterface({ input: stdin, output, terminal: secret ? true : undefined });
      try {
        return await lines.question('');
      } finally {
        lines.close();
        if (secret) stderr.write('\n');
      }
    },
  };
}
