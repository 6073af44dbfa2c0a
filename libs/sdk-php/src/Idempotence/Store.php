<?php

declare(strict_types=1);

namespace Malabar\Idempotence;

/** Where is kept who works on a key and what is done. All processes must share it. */
interface Store
{
    /** Takes a key that is free, for so long. Null: it is yours; else what somebody has put there. */
    public function claim(string $key, string $claim, float $leaseSeconds): ?string;

    /** Puts the result in place of the claim. */
    public function finish(string $key, string $value, float $ttlSeconds): void;

    /** Frees the key if it still holds this claim. */
    public function release(string $key, string $claim): void;
}
