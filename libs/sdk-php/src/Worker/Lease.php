<?php

declare(strict_types=1);

namespace Malabar\Worker;

/** The right to work on a job for a while. */
final class Lease
{
    /** @var string */
    private $place;

    /** @var string */
    private $receipt;

    /** @var float */
    private $seconds;

    /**
     * @param string $place `queue/topic`
     * @param string $receipt what the bus wants to see when it hears of the job again
     * @param float $seconds how long it holds; each extension grants as much again
     */
    public function __construct(string $place, string $receipt, float $seconds)
    {
        $this->place = $place;
        $this->receipt = $receipt;
        $this->seconds = $seconds;
    }

    public function place(): string
    {
        return $this->place;
    }

    public function receipt(): string
    {
        return $this->receipt;
    }

    public function seconds(): float
    {
        return $this->seconds;
    }
}
