import { readSync } from 'node:fs';
import {
  BIG,
  BRANCH,
  Fault,
  LEAF,
  type Meta,
  type Node,
  OVERFLOW,
  overflowPages,
  PAGE_HEADER,
  readFreeList,
  readHeader,
  readNodes,
  readOverflowReference,
  readTree,
  TREE,
  type Tree,
} from './page.js';

/** LMDB's own limit, CURSOR_STACK. */
const DEPTH_MAX = 32;

/** One entry of a tree, or a step between two; what a walk yields so that its caller can stop it. */
export interface Step {
  /** Bytes read from the file since the walk began. */
  bytesRead: number;
  entry?: { tree: string; key: Buffer; value: () => Buffer };
}

interface Branching {
  name: string;
  kinds: readonly number[];
  compare: (a: Buffer, b: Buffer) => number;
  /** A page with fewer keys makes LMDB abort. */
  branchKeysMin: number;
}

/** What the walk expects of a page because of where it found it. */
interface Place {
  page: number;
  level: number;
  transaction: number;
  above?: Buffer;
  below?: Buffer;
}

interface Counted {
  branches: number;
  leaves: number;
  overflows: number;
  entries: number;
}

/**
 * Reads a file's trees without LMDB, which trusts what it reads and would take the process with it.
 * Throws Fault at the first thing that is not as LMDB would have written it. Newest entries come first.
 */
export class FileWalk {
  #bytesRead = 0;
  /** One bit a page: reached by a tree; listed as free. */
  readonly #used: Uint8Array;
  readonly #free: Uint8Array;

  constructor(
    private readonly fd: number,
    private readonly meta: Meta,
  ) {
    this.#used = new Uint8Array(Math.ceil((meta.lastPage + 1) / 8));
    this.#free = new Uint8Array(this.#used.length);
  }

  /** Walks the free pages, then the trees that `order` names, then those that it does not. */
  *walk(order: readonly string[]): Generator<Step> {
    yield* this.#freeList();
    const trees = new Map<string, Tree>();
    const main = { name: 'main', kinds: [TREE], compare: Buffer.compare, branchKeysMin: 2 };
    for (const { entry } of this.#tree(main, this.meta.main))
      if (entry) trees.set(nameOf(entry.key), readTree(entry.value(), 0));
    const rest = [...trees.keys()].filter((name) => !order.includes(name));
    for (const name of [...order, ...rest]) {
      const tree = trees.get(name);
      if (tree === undefined) continue;
      if (tree.flags !== 0) throw new Fault(`tree ${name} has flags that it never had`);
      const kind = { name, kinds: [0, BIG], compare: Buffer.compare, branchKeysMin: 2 };
      yield* this.#tree(kind, tree);
    }
    this.#noPageTwice();
  }

  *#freeList(): Generator<Step> {
    const kind = { name: 'free', kinds: [0, BIG], compare: compareIntegers, branchKeysMin: 1 };
    for (const step of this.#tree(kind, this.meta.free)) {
      if (step.entry !== undefined) {
        if (step.entry.key.length !== 8) throw new Fault('a list of free pages has a wrong key');
        for (const [page, count] of readFreeList(step.entry.value()))
          this.#mark(this.#free, page, count);
      }
      yield { bytesRead: step.bytesRead };
    }
    this.#noPageTwice();
  }

  *#tree(kind: Branching, tree: Tree): Generator<Step> {
    const counted: Counted = { branches: 0, leaves: 0, overflows: 0, entries: 0 };
    if (tree.depth > DEPTH_MAX) throw new Fault(`tree ${kind.name} is too deep`);
    if (tree.root !== undefined) {
      const root = { page: tree.root, level: tree.depth, transaction: this.meta.transaction };
      yield* this.#page(kind, root, counted);
    }
    for (const count of ['branches', 'leaves', 'overflows', 'entries'] as const)
      if (counted[count] !== tree[count])
        throw new Fault(
          `tree ${kind.name} has ${counted[count]} ${count} instead of ${tree[count]}`,
        );
  }

  *#page(kind: Branching, place: Place, counted: Counted): Generator<Step> {
    const page = this.#read(place.page, 1);
    try {
      const header = readHeader(page);
      const leaf = place.level === 1;
      expect(header.page === place.page, 'it says that it is another one');
      expect(header.flags === (leaf ? LEAF : BRANCH), 'it is of another kind');
      expect(header.transaction <= place.transaction, 'it is newer than what leads to it');
      const nodes = readNodes(page, header);
      expect(nodes.length >= (leaf ? 1 : kind.branchKeysMin), 'it is empty');
      checkOrder(kind, place, nodes, leaf);
      counted[leaf ? 'leaves' : 'branches']++;
      counted.entries += leaf ? nodes.length : 0;
      yield { bytesRead: this.#bytesRead };
      const under = { level: place.level - 1, transaction: header.transaction };
      for (let i = nodes.length - 1; i >= 0; i--) {
        const node = nodes[i] as Node;
        if (leaf) yield this.#entry(kind, node, header.transaction, counted);
        else {
          const above = i === 0 ? place.above : node.key;
          const below = nodes[i + 1]?.key ?? place.below;
          yield* this.#page(kind, { ...under, page: node.child, above, below }, counted);
        }
      }
    } catch (error) {
      if (!(error instanceof Fault) || error.message.startsWith('page ')) throw error;
      throw new Fault(`page ${place.page} of tree ${kind.name}: ${error.message}`);
    }
  }

  #entry(kind: Branching, node: Node, transaction: number, counted: Counted): Step {
    expect(kind.kinds.includes(node.flags), 'an entry is of a wrong kind');
    const value = node.flags === BIG ? this.#overflow(node, transaction, counted) : () => node.data;
    return { bytesRead: this.#bytesRead, entry: { tree: kind.name, key: node.key, value } };
  }

  /** Checks where a big value lies; its bytes are read only if somebody wants them. */
  #overflow(node: Node, transaction: number, counted: Counted): () => Buffer {
    const reference = readOverflowReference(node);
    const pages = overflowPages(node.size, this.meta.pageSize);
    expect(reference.pages === pages, 'the length of a value is wrong');
    this.#mark(this.#used, reference.page, pages);
    const header = readHeader(this.#bytes(reference.page, PAGE_HEADER));
    const right =
      header.page === reference.page &&
      header.flags === OVERFLOW &&
      header.pages === pages &&
      header.transaction <= transaction;
    expect(right, `page ${reference.page} does not hold the value that it should`);
    counted.overflows += pages;
    return () => this.#bytes(reference.page, PAGE_HEADER + node.size).subarray(PAGE_HEADER);
  }

  #read(page: number, count: number): Buffer {
    this.#mark(this.#used, page, count);
    return this.#bytes(page, count * this.meta.pageSize);
  }

  #bytes(page: number, size: number): Buffer {
    const bytes = Buffer.allocUnsafe(size);
    const read = readSync(this.fd, bytes, 0, size, page * this.meta.pageSize);
    this.#bytesRead += read;
    if (read !== size) throw new Fault(`page ${page} lies beyond its end: it has been cut`);
    return bytes;
  }

  #mark(bits: Uint8Array, first: number, count: number): void {
    const { lastPage } = this.meta;
    if (!(first >= 2 && count >= 1 && first + count - 1 <= lastPage))
      throw new Fault(`page ${first} does not exist`);
    for (let page = first; page < first + count; page++) {
      const bit = 1 << (page & 7);
      // Free lists may name a page again; LMDB leaves that out.
      if (bits === this.#used && (bits[page >> 3] as number) & bit)
        throw new Fault(`page ${page} is used twice`);
      (bits[page >> 3] as number) |= bit;
    }
  }

  #noPageTwice(): void {
    for (let i = 0; i < this.#used.length; i++)
      if ((this.#used[i] as number) & (this.#free[i] as number))
        throw new Fault(`pages ${i * 8} to ${i * 8 + 7}: one is used and free at once`);
  }
}

/** The lmdb package ends names with a zero. */
const nameOf = (key: Buffer): string => key.toString('latin1').replace(/\0$/, '');

/** Keys ascend, and stay between those of the branch that leads here. */
function checkOrder(kind: Branching, { above, below }: Place, nodes: Node[], leaf: boolean): void {
  // A branch's first key stands for everything below the second and is not looked at.
  let last = above;
  for (let i = leaf ? 0 : 1; i < nodes.length; i++) {
    const { key } = nodes[i] as Node;
    const order = last === undefined ? 1 : kind.compare(key, last);
    expect(order > 0 || (order === 0 && i === 0), 'its keys are out of order');
    last = key;
  }
  if (below !== undefined && last !== undefined && nodes.length > 0)
    expect(kind.compare(last, below) < 0, 'its keys are out of order');
}

function compareIntegers(a: Buffer, b: Buffer): number {
  if (a.length !== 8 || b.length !== 8) throw new Fault('a list of free pages has a wrong key');
  const [left, right] = [a.readBigUInt64LE(), b.readBigUInt64LE()];
  return left < right ? -1 : left > right ? 1 : 0;
}

function expect(condition: boolean, fault: string): void {
  if (!condition) throw new Fault(fault);
}
