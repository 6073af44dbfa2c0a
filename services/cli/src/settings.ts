import { CommandError, EXIT } from './exit.js';

/** Gathers a repeatable option. */
export function collect(value: string, before: string[] = []): string[] {
  return [...before, value];
}

/** `--set key=value` options as the flags of loadConfig; the last of a key wins. */
export function settingFlags(settings: readonly string[]): Record<string, string> {
  return Object.fromEntries(settings.map(settingOf));
}

function settingOf(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
  throw new CommandError(
    EXIT.usage,
    `--set: '${text}' is not of the form key=value`,
    'for example --set ingest.redis.listen=127.0.0.1:6381',
  );
}
