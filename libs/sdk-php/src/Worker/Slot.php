<?php

declare(strict_types=1);

namespace Malabar\Worker;

use Malabar\Bus;

/** The place of one child, and what its master knows of who is there. */
final class Slot
{
    /** A child that lived so long was not ill from the start. */
    private const HEALTHY_SECONDS = 60.0;

    /** @var int 0 while nobody is there */
    private $pid = 0;

    /** @var resource|null */
    private $pipe;

    /** @var string */
    private $buffer = '';

    /** @var float */
    private $startedAt = 0.0;

    /** @var float no child before this */
    private $startAt = 0.0;

    /** @var Backoff */
    private $backoff;

    /** @var Source|null */
    private $source;

    /** @var Lease|null of the job that the child works on */
    private $lease;

    /** @var float */
    private $begunAt = 0.0;

    /** @var float */
    private $extendedAt = 0.0;

    public function __construct()
    {
        $this->backoff = new Backoff(0.5, 30.0);
    }

    public function pid(): int
    {
        return $this->pid;
    }

    public function isDue(): bool
    {
        return $this->pid === 0 && microtime(true) >= $this->startAt;
    }

    /** @param resource $pipe */
    public function started(int $pid, $pipe): void
    {
        stream_set_blocking($pipe, false);
        $this->pid = $pid;
        $this->pipe = $pipe;
        $this->startedAt = microtime(true);
    }

    /** Frees the place; a child that failed at once makes the next one wait. */
    public function ended(bool $well): void
    {
        $isHealthy = $well || microtime(true) - $this->startedAt > self::HEALTHY_SECONDS;
        if ($isHealthy) {
            $this->backoff->succeeded();
        }
        $this->startAt = $well ? 0.0 : microtime(true) + $this->backoff->failed();
        $this->forget();
        $this->pid = 0;
        $this->lease = null;
    }

    /** Closes the pipe; the child that is forked for another slot must not hold it. */
    public function forget(): void
    {
        if ($this->pipe !== null) {
            fclose($this->pipe);
        }
        $this->pipe = null;
        $this->buffer = '';
    }

    /** @return resource|null */
    public function pipe()
    {
        return $this->pipe;
    }

    /** Reads what the child has reported. */
    public function listen(): void
    {
        while ($this->pipe !== null && ($bytes = (string) fread($this->pipe, 65536)) !== '') {
            $this->buffer .= $bytes;
        }
        $lines = explode("\n", $this->buffer);
        $this->buffer = (string) array_pop($lines);
        foreach ($lines as $line) {
            $this->hear((array) json_decode($line, true));
        }
    }

    public function lease(): ?Lease
    {
        return $this->lease;
    }

    /** The job needs nobody to speak for it any more. */
    public function letGo(): void
    {
        $this->lease = null;
    }

    /** To speak for the child; null before it has said how to reach the bus. */
    public function source(): ?Source
    {
        return $this->source;
    }

    /** How long the child has been at its job. */
    public function workedSeconds(): float
    {
        return $this->lease === null ? 0.0 : microtime(true) - $this->begunAt;
    }

    /** A third of the lease has gone. */
    public function wantsExtension(): bool
    {
        return $this->lease !== null
            && microtime(true) - $this->extendedAt > $this->lease->seconds() / 3;
    }

    public function extended(): void
    {
        $this->extendedAt = microtime(true);
    }

    /** @param array<string, mixed> $message as Report writes it */
    private function hear(array $message): void
    {
        if (isset($message['bus'])) {
            $this->source = new Source(new Bus($message['bus']));
            return;
        }
        $this->lease = isset($message['job']) ? new Lease(...$message['job']) : null;
        $this->begunAt = $this->extendedAt = microtime(true);
    }
}
