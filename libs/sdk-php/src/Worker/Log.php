<?php

declare(strict_types=1);

namespace Malabar\Worker;

/** One line on STDERR for what an operator should know. */
final class Log
{
    public static function line(string $words): void
    {
        fwrite(STDERR, date('c') . ' malabar-worker[' . getmypid() . "] $words\n");
    }
}
