import type { AgentFormat } from '@malabar/config';
import { formatJson } from './formats/json.js';
import { formatPhp } from './formats/php.js';
import { formatTypedIni } from './formats/typed-ini.js';
import { formatYaml } from './formats/yaml.js';
import type { ValueFile } from './value-files.js';

/** What the agent can write a node's values as. */
export const FORMATS = {
  json: formatJson,
  yaml: formatYaml,
  ini: formatTypedIni,
  php: formatPhp,
} satisfies Record<AgentFormat, (files: readonly ValueFile[]) => string>;
