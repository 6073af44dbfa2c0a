<?php

declare(strict_types=1);

namespace Malabar\Worker;

/** Pauses that double, with jitter: what fails together shall not try again together. */
final class Backoff
{
    /** @var float */
    private $seconds;

    /** @var float */
    private $secondsMax;

    /** @var int */
    private $failures = 0;

    public function __construct(float $seconds, float $secondsMax)
    {
        $this->seconds = $seconds;
        $this->secondsMax = $secondsMax;
    }

    public function succeeded(): void
    {
        $this->failures = 0;
    }

    /** How long to wait after one more failure. */
    public function failed(): float
    {
        $seconds = min($this->secondsMax, $this->seconds * 2 ** $this->failures);
        $this->failures = min($this->failures + 1, 30);
        return $seconds * random_int(75, 125) / 100;
    }
}
