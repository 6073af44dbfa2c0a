/** `redis_master` is `RedisMaster`. */
export function pascalCase(name: string): string {
  return named(
    name
      .split(/[^A-Za-z0-9]+/)
      .map(upperFirst)
      .join(''),
    'Key',
  );
}

/** `msg_type_map` is `msgTypeMap`. */
export function camelCase(name: string): string {
  const [first = '', ...more] = name.split(/[^A-Za-z0-9]+/).filter((word) => word !== '');
  const isAcronym = /^[A-Z0-9]+$/.test(first);
  const small = isAcronym ? first.toLowerCase() : first.charAt(0).toLowerCase() + first.slice(1);
  return named(small + more.map(upperFirst).join(''), 'key');
}

/** `MsgType-map` is `msg_type_map`. */
export function snakeCase(name: string): string {
  const words = name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').split(/[^A-Za-z0-9]+/);
  return named(
    words
      .filter((word) => word !== '')
      .join('_')
      .toLowerCase(),
    'key_',
  );
}

/** `redis_master` is `redis-master`. */
export function kebabCase(name: string): string {
  return snakeCase(name).replaceAll('_', '-');
}

/** What gokeeper-cli calls the struct of a file: `redis_master` is `Redis_master`. */
export function gokeeperStruct(name: string): string {
  const struct = named(upperFirst(name.replace(/[^A-Za-z0-9_]/g, '_')), 'Conf');
  return GO_TAKEN.includes(struct) ? `${struct}_conf` : struct;
}

/** What the generated package has besides. */
const GO_TAKEN = ['Values', 'Load', 'LoadBytes', 'ObjectsContainer'];

/** A name begins with a letter. */
function named(text: string, prefix: string): string {
  return /^[A-Za-z]/.test(text) ? text : prefix + text;
}

function upperFirst(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
