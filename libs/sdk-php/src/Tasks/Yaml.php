<?php

declare(strict_types=1);

namespace Malabar\Tasks;

/** Writes mappings as YAML. Texts are quoted where YAML could read something else. */
final class Yaml
{
    private const PLAIN = '#^([A-Za-z/][A-Za-z0-9_./:-]*|\d+(ms|s|m|h|d))$#D';
    private const NOT_TEXT = ['true', 'false', 'null', 'yes', 'no', 'on', 'off', 'y', 'n'];

    /** @param array<string, mixed> $mapping */
    public static function write(array $mapping, int $depth = 0): string
    {
        $text = '';
        foreach ($mapping as $key => $value) {
            $name = str_repeat('  ', $depth) . self::scalar((string) $key) . ':';
            $text .= self::isMapping($value)
                ? "$name\n" . self::write($value, $depth + 1)
                : "$name " . self::leaf($value) . "\n";
        }
        return $text;
    }

    /** @param mixed $value */
    private static function isMapping($value): bool
    {
        return is_array($value) && $value !== [] && array_keys($value) !== range(0, count($value) - 1);
    }

    /** @param mixed $value */
    private static function leaf($value): string
    {
        if (is_array($value)) {
            return '[' . implode(', ', array_map([self::class, 'leaf'], $value)) . ']';
        }
        return is_string($value) ? self::scalar($value) : json_encode($value);
    }

    private static function scalar(string $text): string
    {
        $isPlain = preg_match(self::PLAIN, $text) === 1
            && substr($text, -1) !== ':'
            && !in_array(strtolower($text), self::NOT_TEXT, true);
        return $isPlain ? $text : json_encode($text, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE);
    }
}
