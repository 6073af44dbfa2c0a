import { register } from 'node:module';

/*
 * Preloaded into a process, this opens every LMDB file with the options of WEAK_LMDB (JSON) as well, and
 * gives its `flags` to every synchronous transaction: so a test of durability can be shown a store that
 * has none.
 */
const wrapper = `
  import * as lmdb from 'lmdb?real';
  const { flags, ...weakness } = ${process.env.WEAK_LMDB};
  export function open(options) {
    const root = lmdb.open({ ...options, ...weakness });
    const transactionSync = root.transactionSync;
    if (flags) root.transactionSync = (run) => transactionSync.call(root, run, flags);
    return root;
  }
`;
const hooks = `
  export async function resolve(specifier, context, next) {
    if (specifier === 'lmdb') return { url: 'data:text/javascript,' + ${JSON.stringify(
      encodeURIComponent(wrapper),
    )}, shortCircuit: true };
    if (specifier === 'lmdb?real') return next('lmdb', { ...context, parentURL: ${JSON.stringify(
      import.meta.url,
    )} });
    return next(specifier, context);
  }
`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
