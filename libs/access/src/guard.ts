import type { access } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import type {
  CallContext,
  Implementation,
  MethodDefinition,
  ServiceDefinition,
} from '@malabar/rpc';
import type { Authenticator } from './authenticator.js';
import { allowed, allowedSomewhere, isOurs, type Principal, setPrincipal } from './principal.js';
import { EVERYWHERE, roleName } from './role.js';

/** One of these roles, in each of these systems or in any. */
export interface Need {
  roles: readonly access.Role[];
  /** `*` and the empty text are a right in every system. */
  systems: readonly string[] | 'any';
}

/** Whether the caller holds a role in a system. */
export type May = (role: access.Role, system: string) => boolean;

/** A need, and what of the answer the caller gets to see. */
export interface Filtered<Request, Response> {
  need: Need | ((request: Request) => Need);
  /** May throw instead. */
  answer(response: Response, may: May): Response;
}

/**
 * Who may call a method: `internal` only the bus itself, `anybody` even who has not said who he is,
 * `known` who has, else whoever fulfils the need.
 */
export type Rule<Request, Response> =
  | 'internal'
  | 'anybody'
  | 'known'
  | Need
  | ((request: Request) => Need)
  | Filtered<Request, Response>;

type Methods = Record<string, (request: never, context: CallContext) => unknown>;
type Message<T> = T extends AsyncIterable<infer M> ? M : Awaited<T>;

/** A rule for every method of a contract: one without does not compile. */
export type Rules<D extends ServiceDefinition> = {
  readonly [K in keyof Implementation<D>]: Rule<
    Parameters<Implementation<D>[K]>[0],
    Message<ReturnType<Implementation<D>[K]>>
  >;
};

/** A need for a role in systems, all of them if there are several. */
export function need(role: access.Role | readonly access.Role[], ...systems: string[]): Need {
  return { roles: [role].flat() as access.Role[], systems };
}

/** A need for a role in any system; the method or the rule's `answer` keeps to what may be seen. */
export function somewhere(...roles: access.Role[]): Need {
  return { roles, systems: 'any' };
}

/**
 * An implementation that asks who calls and whether he may, before anything of it runs. While it
 * answers with a stream it asks again whenever people have changed: a stream ends with its right.
 * Bind it with `{ access: 'public' }`; `principalOf(context)` says who calls.
 */
export function guard<D extends ServiceDefinition>(
  definition: D,
  implementation: Implementation<D>,
  rules: Rules<D>,
  authenticate: Authenticator,
): Implementation<D> {
  const methods = implementation as unknown as Methods;
  const guarded = Object.entries(definition.methods).flatMap(([name, method]) => {
    const rule = rules[name as keyof Rules<D>] as Rule<unknown, unknown> | undefined;
    const run = methods[name]?.bind(implementation) as AnyRun | undefined;
    if (run === undefined) return [];
    if (rule === undefined) throw new Error(`nothing says who may call ${definition.name}.${name}`);
    return [[name, guardMethod(method, run, rule, authenticate)]];
  });
  return Object.fromEntries(guarded);
}

type AnyRun = (request: unknown, context: CallContext) => unknown;

function guardMethod(
  method: MethodDefinition,
  run: AnyRun,
  rule: Rule<unknown, unknown>,
  authenticate: Authenticator,
): AnyRun {
  const filter = typeof rule === 'object' && 'answer' in rule ? rule.answer : undefined;
  const admit = (request: unknown, context: CallContext): Principal | undefined => {
    if (rule === 'anybody') return undefined;
    const principal = authenticate(context);
    assertMay(principal, rule, request, method.name);
    setPrincipal(context, () => authenticate(context));
    return principal;
  };
  if (method.responseStream) {
    return (request, context) => {
      const principal = admit(request, context);
      const responses = run(request, context) as AsyncIterable<unknown>;
      if (principal === undefined || isOurs(principal)) return responses;
      return checked(responses, (response) => {
        const now = admit(request, context) as Principal;
        return filter ? filter(response, mayOf(now)) : response;
      });
    };
  }
  return async (request, context) => {
    const principal = admit(request, context);
    const response = await run(request, context);
    return filter && principal ? filter(response, mayOf(principal)) : response;
  };
}

function assertMay(
  principal: Principal,
  rule: Rule<unknown, unknown>,
  request: unknown,
  method: string,
): void {
  if (rule === 'known' || rule === 'anybody') return;
  if (rule === 'internal') {
    if (isOurs(principal)) return;
    throw new BusError('FORBIDDEN', `${method} is for the services of the bus only`);
  }
  const what = 'answer' in rule ? rule.need : rule;
  const { roles, systems } = typeof what === 'function' ? what(request) : what;
  const lacking = lackingIn(principal, roles, systems);
  if (lacking === undefined) return;
  const role = roles.map(roleName).join(' or ');
  throw new BusError('FORBIDDEN', `${principal.name} needs the role ${role} ${lacking}`);
}

/** Where none of the roles is held, in words; undefined if nothing is lacking. */
function lackingIn(
  principal: Principal,
  roles: Need['roles'],
  systems: Need['systems'],
): string | undefined {
  if (systems === 'any') {
    const held = roles.some((role) => allowedSomewhere(principal, role));
    return held ? undefined : 'in a system';
  }
  // A request that names nothing must not need nothing.
  const all = systems.length === 0 ? [EVERYWHERE] : systems;
  const lacking = all.filter((system) => !roles.some((role) => allowed(principal, role, system)));
  if (lacking.length === 0) return undefined;
  const named = lacking.find((system) => system !== '' && system !== EVERYWHERE);
  return named === undefined ? 'in all systems (*)' : `in the system ${named}`;
}

function mayOf(principal: Principal): May {
  return (role, system) => allowed(principal, role, system);
}

/** Each message passes `check`, which throws to end the stream. No generator: it can be left while it waits. */
function checked(
  stream: AsyncIterable<unknown>,
  check: (message: unknown) => unknown,
): AsyncIterableIterator<unknown> {
  const source = stream[Symbol.asyncIterator]();
  return {
    async next() {
      const result = await source.next();
      if (result.done) return result;
      try {
        return { done: false, value: check(result.value) };
      } catch (error) {
        source.return?.()?.catch(() => {});
        throw error;
      }
    },
    async return(value) {
      return (await source.return?.(value)) ?? { done: true, value };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
