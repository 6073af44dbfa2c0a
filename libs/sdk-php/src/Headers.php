<?php

declare(strict_types=1);

namespace Malabar;

/** Headers that the bus accepts of who publishes. */
final class Headers
{
    /**
     * These headers and one more, which takes the place of one of its name in whatever case.
     *
     * @param array<string, string> $headers
     * @return array<string, string>
     */
    public static function with(array $headers, string $name, string $value): array
    {
        if (preg_match('/^(?!__proto__$)[\w!#$%&\'*+.^`|~-]{1,128}$/D', $name) !== 1) {
            throw new \InvalidArgumentException(
                "header '$name': a name has 1 to 128 letters, digits and signs such as '-'"
            );
        }
        if (stripos($name, 'malabar-') === 0) {
            throw new \InvalidArgumentException("header '$name': malabar- is for the bus itself");
        }
        if (preg_match('//u', $value) !== 1) {
            throw new \InvalidArgumentException("header '$name': its value is not UTF-8");
        }
        foreach (array_keys($headers) as $other) {
            if (strcasecmp((string) $other, $name) === 0) {
                unset($headers[$other]);
            }
        }
        $headers[$name] = $value;
        return $headers;
    }
}
