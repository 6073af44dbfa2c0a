<?php

declare(strict_types=1);

// The shop's database, as it were: one file.

function note(string $line): void
{
    file_put_contents(__DIR__ . '/orders.log', "$line\n", FILE_APPEND | LOCK_EX);
}

function isPaid(int $order): bool
{
    $lines = @file(__DIR__ . '/orders.log', FILE_IGNORE_NEW_LINES) ?: [];
    return in_array("order $order paid", $lines, true);
}
