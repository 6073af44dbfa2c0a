import { formatGrants, parseGrants } from '@malabar/access';
import type { access } from '@malabar/contracts';
import { CommandError, EXIT } from './exit.js';

/** `--grant system:role`, repeated. */
export function grantOptions(texts: readonly string[]): access.Grant[] {
  return texts.flatMap((text) =>
    parseGrants(text, (message) => {
      throw new CommandError(EXIT.usage, `--grant: ${message}`, "for example --grant '*:viewer'");
    }),
  );
}

/** Rights as a person reads them: `shop:operator *:viewer`. */
export function grantsText(grants: readonly access.Grant[]): string {
  return formatGrants(grants).replaceAll(',', ' ') || '-';
}
