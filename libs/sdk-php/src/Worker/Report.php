<?php

declare(strict_types=1);

namespace Malabar\Worker;

/**
 * What a child tells its master, one line of JSON each: how to reach the bus, which job it begins,
 * that it has ended it. So the master can speak for a child that died.
 */
final class Report
{
    /** @var resource|null */
    private $pipe;

    /** @param resource|null $pipe null where there is no master */
    public function __construct($pipe = null)
    {
        $this->pipe = $pipe;
    }

    /** @param array<string, mixed> $options of the Bus */
    public function bus(array $options): void
    {
        $this->write(['bus' => $options]);
    }

    public function begun(Lease $lease): void
    {
        $this->write(['job' => [$lease->place(), $lease->receipt(), $lease->seconds()]]);
    }

    public function ended(): void
    {
        $this->write(['job' => null]);
    }

    public function masterIsGone(): bool
    {
        if ($this->pipe === null) {
            return false;
        }
        // The master never writes: all that can come is the end.
        $read = [$this->pipe];
        $none = [];
        return @stream_select($read, $none, $none, 0) === 1;
    }

    /** @param array<string, mixed> $message */
    private function write(array $message): void
    {
        if ($this->pipe !== null) {
            @fwrite($this->pipe, json_encode($message, JSON_INVALID_UTF8_SUBSTITUTE) . "\n");
        }
    }
}
