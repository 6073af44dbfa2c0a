<?php

declare(strict_types=1);

namespace Malabar;

/** Seconds as the bus reads them: not negative, to the millisecond. */
final class Seconds
{
    public static function text(float $seconds): string
    {
        if (!is_finite($seconds) || $seconds < 0) {
            throw new \InvalidArgumentException("$seconds seconds: it must be 0 or more");
        }
        return rtrim(rtrim(number_format($seconds, 3, '.', ''), '0'), '.');
    }
}
