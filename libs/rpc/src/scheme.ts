import { type ChannelOptions, experimental } from '@grpc/grpc-js';
import type { Directory, Route } from './route.js';
import { BALANCER_NAME, ROUTE_KEY, registerBalancer } from './route-balancer.js';

/** The scheme of addresses that a directory resolves: `malabar:///storage`. */
const SCHEME = 'malabar';

// Not passed on to the connections: those with other options are not shared.
const DIRECTORY_KEY = `${experimental.SUBCHANNEL_ARGS_EXCLUDE_KEY_PREFIX}.malabar.directory`;

const SERVICE_CONFIG = {
  loadBalancingConfig: [{ [BALANCER_NAME]: {} }],
  methodConfig: [],
};

type Target = Parameters<typeof experimental.uriToString>[0];

/** The directories that serve whole schemes. grpc-js keeps its resolvers by process too. */
const directories = new Map<string, Directory>();

/**
 * Makes `<name>:///<service>` an address for every gRPC client of this process; the last one
 * registered counts. Returns how to take it back.
 */
export function registerScheme(name: string, directory: Directory): () => void {
  enable(name);
  directories.set(name, directory);
  return () => {
    if (directories.get(name) === directory) directories.delete(name);
  };
}

/** A service's address and the channel options that tie it to this directory and no other. */
export function resolvedBy(
  directory: Directory,
  service: string,
): { address: string; options: ChannelOptions } {
  enable(SCHEME);
  return { address: `${SCHEME}:///${service}`, options: { [DIRECTORY_KEY]: directory } };
}

function enable(scheme: string): void {
  registerBalancer();
  experimental.registerResolver(scheme, DirectoryResolver);
}

/** A resolver of grpc-js that follows a directory. */
class DirectoryResolver implements experimental.Resolver {
  #stop: (() => void) | undefined;

  constructor(
    private readonly target: Target,
    private readonly listener: experimental.ResolverListener,
    private readonly options: ChannelOptions,
  ) {}

  static getDefaultAuthority({ path }: Target): string {
    return path;
  }

  // Called for every call while nothing is connected; a directory that is followed has said all.
  updateResolution(): void {
    this.#stop ??= this.#follow();
  }

  destroy(): void {
    this.#stop?.();
    this.#stop = undefined;
  }

  #follow(): () => void {
    const { scheme = '', path } = this.target;
    const own: Directory | undefined = this.options[DIRECTORY_KEY];
    const directory = own ?? directories.get(scheme) ?? nobody(scheme);
    return directory.watch(path, (route) => this.#tell(route));
  }

  #tell(route: Route): void {
    // The route travels as an attribute: grpc-js's own list has no room for weights and zones.
    const { statusOrFromValue } = experimental;
    this.listener(
      statusOrFromValue([]),
      { [ROUTE_KEY]: route },
      statusOrFromValue(SERVICE_CONFIG),
      '',
    );
  }
}

/** What an address leads to whose scheme was taken back. */
function nobody(scheme: string): Directory {
  return {
    watch(_, listener) {
      const reason = `no directory serves ${scheme}: any more`;
      process.nextTick(listener, { endpoints: [], reason, balancer: NONE });
      return () => {};
    },
  };
}

const NONE = {
  pick<C>([first]: readonly C[]): C {
    return first as C;
  },
};
