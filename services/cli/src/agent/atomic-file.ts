import { constants } from 'node:fs';
import { type FileHandle, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** Who may read and write a file. */
export interface FileAttributes {
  /** Permission bits, e.g. 0o640. */
  mode: number;
  /** Numeric user and group; without it whoever runs this process. */
  owner?: { uid: number; gid: number } | undefined;
}

/** A new content that lies beside its file, ready to take its place. */
export interface StagedFile {
  /** What is in its place now; undefined if there is no file. */
  readonly before: Buffer | undefined;
  /** The content is another one than before. */
  readonly changed: boolean;
  /** Puts it in place. Readers see the old content or the new one, never a part. */
  commit(): Promise<void>;
  /** Takes it away; the file stays as it was. */
  discard(): Promise<void>;
}

/**
 * Writes `content` beside `path`: whatever can go wrong (no room, no right) goes wrong here, before
 * anything is replaced. It is on disk and has its owner and mode before it gets its name.
 */
export async function stageFile(
  path: string,
  content: Buffer,
  attributes: FileAttributes,
): Promise<StagedFile> {
  const before = await contentOf(path);
  const changed = before === undefined || !before.equals(content);
  if (!changed && (await hasAttributes(path, attributes))) {
    return { before, changed, commit: async () => {}, discard: async () => {} };
  }
  const staged = join(dirname(path), `.${basename(path)}.malabar`);
  const discard = (): Promise<void> => rm(staged, { force: true });
  // One that a crash has left.
  await discard();
  try {
    await writeNew(staged, content, attributes);
  } catch (error) {
    await discard();
    throw error;
  }
  return {
    before,
    changed,
    discard,
    async commit() {
      await rename(staged, path);
      await flush(dirname(path));
    },
  };
}

async function contentOf(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function hasAttributes(path: string, { mode, owner }: FileAttributes): Promise<boolean> {
  const now = await stat(path);
  const isOwned = owner === undefined || (now.uid === owner.uid && now.gid === owner.gid);
  return isOwned && (now.mode & 0o7777) === mode;
}

async function writeNew(
  path: string,
  content: Buffer,
  { mode, owner }: FileAttributes,
): Promise<void> {
  // Nobody else may open it before it has its owner.
  const file = await open(path, 'wx', 0o600);
  await using(file, async () => {
    await file.writeFile(content);
    if (owner) await file.chown(owner.uid, owner.gid);
    await file.chmod(mode);
    await file.sync();
  });
}

/** Makes the new name itself survive a power cut. */
async function flush(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY);
  await using(handle, () => handle.sync());
}

async function using(file: FileHandle, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } finally {
    await file.close();
  }
}
