import { type ChildProcess, spawn } from 'node:child_process';

// Reads who is alive; the end of its input is the death of the process that writes.
const SCRIPT = `
trap '' HUP INT TERM
alive=' '
while read -r verb group; do
  case $verb in
    add) alive="$alive$group " ;;
    forget)
      case $alive in
        *" $group "*) alive="\${alive%% $group *} \${alive#* $group }" ;;
      esac ;;
  esac
done
for group in $alive; do kill -s KILL -- "-$group" 2>/dev/null; done
`;

/**
 * Ends process groups when this process has died, also by SIGKILL: a small process of its own that
 * outlives it and reads the names of the groups from a pipe. Started with the first group.
 */
export class LastWill {
  readonly #groups = new Set<number>();
  #executor: ChildProcess | undefined;

  /** Shall not outlive us. */
  add(group: number): void {
    this.#groups.add(group);
    if (this.#executor === undefined) this.#appoint();
    else this.#tell(`add ${group}\n`);
  }

  /** Is gone. */
  forget(group: number): void {
    if (this.#groups.delete(group)) this.#tell(`forget ${group}\n`);
  }

  /** Ends what is left. */
  close(): void {
    this.#executor?.stdin?.end();
    this.#executor = undefined;
  }

  #appoint(): void {
    const executor = spawn('/bin/sh', ['-c', SCRIPT], {
      // A session of its own: what ends our group must not end it too.
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
      env: {},
      cwd: '/',
    });
    this.#executor = executor;
    // It keeps nothing alive, and another one is appointed should it be killed.
    executor.unref();
    (executor.stdin as unknown as { unref(): void }).unref();
    executor.stdin?.on('error', () => {});
    const gone = (): void => {
      if (this.#executor === executor) this.#executor = undefined;
    };
    executor.once('exit', gone).once('error', gone);
    this.#tell([...this.#groups].map((group) => `add ${group}\n`).join(''));
  }

  #tell(text: string): void {
    this.#executor?.stdin?.write(text);
  }
}
