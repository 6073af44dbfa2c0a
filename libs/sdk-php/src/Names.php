<?php

declare(strict_types=1);

namespace Malabar;

/** Names that the bus accepts for queues and topics, and so for events and tasks. */
final class Names
{
    /** The name itself; throws if the bus would not have it. */
    public static function check(string $what, string $name): string
    {
        if (preg_match('/^[A-Za-z0-9_.-]{1,128}$/D', $name) !== 1) {
            throw new \InvalidArgumentException(
                "$what '$name': a name has 1 to 128 letters, digits, '_', '.' or '-'"
            );
        }
        return $name;
    }
}
