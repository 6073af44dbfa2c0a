export { checkFile } from './file.js';
export { type Range, Store, type StoreOptions, type Tree, type Writes } from './store.js';
