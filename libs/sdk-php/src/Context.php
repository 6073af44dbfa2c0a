<?php

declare(strict_types=1);

namespace Malabar;

/** What the bus knows of the job that is being done. */
final class Context
{
    /** @var array<string, mixed> */
    private $facts;

    /** @var string */
    private $event;

    /** @var callable|null asks the bus for more time; answers the seconds */
    private $extension;

    /**
     * @param array<string, mixed> $facts jobId, queue, topic, attempt, headers, acceptedAtMs,
     *   deadline (Unix seconds; null if it is not known)
     */
    public function __construct(array $facts, ?callable $extension = null)
    {
        $this->facts = $facts;
        $this->event = $facts['queue'];
        $this->extension = $extension;
    }

    /** The same job, known to carry this event. */
    public function withEvent(string $event): self
    {
        $copy = clone $this;
        $copy->event = $event;
        return $copy;
    }

    /** The same at each attempt: the key against doing it twice. */
    public function jobId(): string
    {
        return $this->facts['jobId'];
    }

    public function queue(): string
    {
        return $this->facts['queue'];
    }

    /** The task's name. */
    public function topic(): string
    {
        return $this->facts['topic'];
    }

    public function event(): string
    {
        return $this->event;
    }

    /** Which try this is, from 1. */
    public function attempt(): int
    {
        return $this->facts['attempt'];
    }

    /** @return array<string, string> */
    public function headers(): array
    {
        return $this->facts['headers'];
    }

    public function header(string $name): ?string
    {
        return $this->facts['headers'][$name] ?? null;
    }

    /** The batch that the job is in, by id: `Event::batch` joins it. */
    public function batch(): ?string
    {
        return $this->header('malabar-batch');
    }

    /**
     * What the batch came to that this job follows; null if it follows none.
     *
     * @return array<string, mixed>|null batch, state (ended or expired), jobs, deliveries, done, dead,
     *   discarded, errors (code and count), openedAtMs, endedAtMs
     */
    public function batchTotals(): ?array
    {
        $totals = $this->header('malabar-batch-totals');
        return $totals === null ? null : json_decode($totals, true);
    }

    /** When the bus took the job. */
    public function acceptedAt(): \DateTimeImmutable
    {
        $seconds = number_format($this->facts['acceptedAtMs'] / 1000, 3, '.', '');
        return \DateTimeImmutable::createFromFormat('U.u', $seconds);
    }

    /** How long this attempt still has before the bus gives the job to another; null if unknown. */
    public function secondsLeft(): ?float
    {
        $deadline = $this->facts['deadline'];
        return $deadline === null ? null : $deadline - microtime(true);
    }

    /**
     * Asks for the topic's timeout anew. False if the job is somebody else's by now, or if the
     * bus cannot be asked: over FastCGI the timeout stands.
     */
    public function extend(): bool
    {
        $seconds = $this->extension === null ? 0.0 : ($this->extension)();
        if ($seconds <= 0) {
            return false;
        }
        $this->facts['deadline'] = microtime(true) + $seconds;
        return true;
    }
}
