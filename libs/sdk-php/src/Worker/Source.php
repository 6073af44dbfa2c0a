<?php

declare(strict_types=1);

namespace Malabar\Worker;

use Malabar\Bus;
use Malabar\Context;
use Malabar\Redis\ErrorReply;
use Malabar\RefusedException;
use Malabar\Seconds;
use Malabar\Verdict;

/** Fetches jobs over the Redis port, and tells what became of them. */
final class Source
{
    private const ANSWER_SECONDS = 10.0;

    private const KINDS = [
        Verdict::DEAD => ['DEAD'],
        Verdict::CRASH => ['CRASH'],
        Verdict::RELEASE => ['RELEASE'],
    ];

    /** @var Bus */
    private $bus;

    public function __construct(Bus $bus)
    {
        $this->bus = $bus;
    }

    /**
     * Waits for a job of these places; null if none came.
     *
     * @param list<string> $places `queue/topic`
     */
    public function fetch(array $places, float $waitSeconds): ?Job
    {
        $wait = (string) (int) ($waitSeconds * 1000);
        $command = array_merge(['GETJOB', 'TIMEOUT', $wait, 'WITHDETAILS', 'FROM'], $places);
        [$jobs] = $this->bus->pipeline($places, [$command], $waitSeconds + self::ANSWER_SECONDS);
        if ($jobs instanceof ErrorReply) {
            throw new RefusedException($jobs);
        }
        return $jobs === null ? null : $this->job(...$jobs[0]);
    }

    /** False if the lease had ended: the job is somebody else's by now. */
    public function settle(Lease $lease, Verdict $verdict): bool
    {
        if ($verdict->isDone()) {
            return $this->say($lease, ['ACKJOB', $lease->receipt()]);
        }
        $words = ['NACK', $lease->receipt(), 'CODE', $verdict->code(), 'ERROR', $verdict->message()];
        if ($verdict->afterSeconds() !== null) {
            array_push($words, 'AFTER', Seconds::text(max(0.0, $verdict->afterSeconds())));
        }
        return $this->say($lease, array_merge($words, self::KINDS[$verdict->kind()] ?? []));
    }

    /** Lets the lease start anew; false if it had ended. */
    public function extend(Lease $lease): bool
    {
        return $this->say($lease, ['WORKING', $lease->receipt()]);
    }

    public function close(): void
    {
        $this->bus->close();
    }

    /** @param list<string> $command */
    private function say(Lease $lease, array $command): bool
    {
        return $this->bus->call($lease->place(), $command, self::ANSWER_SECONDS) === 1;
    }

    /** @param list<mixed> $details names and values in turn */
    private function job(string $place, string $receipt, string $body, array $details): Job
    {
        $known = self::pairs($details);
        $lease = new Lease($place, $receipt, $known['lease'] / 1000);
        [$queue, $topic] = explode('/', $place, 2);
        $facts = [
            'jobId' => $known['job'],
            'queue' => $queue,
            'topic' => $topic,
            'attempt' => $known['attempt'],
            'headers' => self::pairs($known['headers']),
            'acceptedAtMs' => $known['accepted'],
            'deadline' => microtime(true) + $lease->seconds(),
        ];
        $extension = fn (): float => $this->extend($lease) ? $lease->seconds() : 0.0;
        return new Job($lease, $body, new Context($facts, $extension));
    }

    /**
     * @param list<mixed> $list
     * @return array<string, mixed>
     */
    private static function pairs(array $list): array
    {
        return $list === [] ? [] : array_column(array_chunk($list, 2), 1, 0);
    }
}
