import type { AnyMethod, Implementation, ServiceDefinition } from './definition.js';

/** An implementation together with the contract that it fulfils. */
export interface Binding {
  readonly definition: ServiceDefinition;
  readonly methods: Readonly<Record<string, AnyMethod>>;
  readonly access: Access;
}

/**
 * Who may call: `internal` is protected by the token of the servers that serve it; `public`
 * authenticates its callers itself (queue passwords).
 */
export type Access = 'internal' | 'public';

/** Ties an implementation to its contract, for `serve` and `local`. */
export function bind<D extends ServiceDefinition>(
  definition: D,
  implementation: Implementation<D>,
  { access = 'internal' }: { access?: Access } = {},
): Binding {
  const methods = implementation as unknown as Readonly<Record<string, AnyMethod>>;
  return { definition, methods, access };
}
