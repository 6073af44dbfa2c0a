<?php

declare(strict_types=1);

namespace Malabar;

/**
 * Many events with a common end: when all their jobs have ended, one event follows.
 *
 *     $batch = Batch::open(Event::name('import_done')->with(['import' => 7]));
 *     foreach ($photos as $photo) {
 *         $batch->publish(Event::name('photo_added')->with(['photo' => $photo]));
 *     }
 *     $batch->close();
 */
final class Batch
{
    /** The event follows however the jobs ended, also if the batch expires with jobs in it. */
    public const ALWAYS = 'ALWAYS';

    /** It follows only if all are done. */
    public const SUCCESS = 'SUCCESS';

    /** Beyond the bus's own limit for a commit. */
    private const ANSWER_SECONDS = 35.0;

    /** @var string */
    private $id;

    /** @var string the queue whose password counts */
    private $queue;

    /** @var Bus */
    private $bus;

    private function __construct(string $id, string $queue, Bus $bus)
    {
        $this->id = $id;
        $this->queue = $queue;
        $this->bus = $bus;
    }

    /**
     * Opens a batch.
     *
     * @param Event $then what follows; without parameters it gets the totals
     * @param string $on ALWAYS or SUCCESS
     * @param float|null $expireSeconds it has to be closed within; a day unless said, up to 30
     * @throws RefusedException
     * @throws ConnectionException it may be opened again: an empty batch expires in silence
     */
    public static function open(
        Event $then,
        string $on = self::ALWAYS,
        ?float $expireSeconds = null,
        ?Bus $bus = null
    ): self {
        $bus = $bus ?? Bus::shared();
        [$queue, $body, $headers] = $then->asFollower();
        $command = ['BATCHOPEN', $queue, $body, 'ON', $on];
        if ($expireSeconds !== null) {
            array_push($command, 'EXPIRES', Seconds::text($expireSeconds));
        }
        foreach ($headers as $name => $value) {
            array_push($command, 'HEADER', (string) $name, $value);
        }
        return new self($bus->call($queue, $command, self::ANSWER_SECONDS), $queue, $bus);
    }

    /**
     * A batch that was opened elsewhere.
     *
     * @param string $queue of the event that follows
     */
    public static function of(string $id, string $queue, ?Bus $bus = null): self
    {
        return new self($id, Names::check('queue', $queue), $bus ?? Bus::shared());
    }

    public function id(): string
    {
        return $this->id;
    }

    /**
     * Publishes an event into the batch; returns the job's id.
     *
     * @throws PublishException the bus refused it, or the batch has ended
     * @throws ConnectionException which says whether it is safe to try again
     */
    public function publish(Event $event): string
    {
        return $event->batch($this->id)->publish(null, $this->bus);
    }

    /**
     * Publishes several into the batch, in one round trip for hundreds of them.
     *
     * @param list<Event> $events
     * @return list<string> the jobs' ids
     * @throws PublishException some were refused; it tells which ones, and the ids of the others
     * @throws ConnectionException which says whether it is safe to try all of them again
     */
    public function publishAll(array $events): array
    {
        $joined = array_map(fn (Event $event): Event => $event->batch($this->id), $events);
        return Event::publishAll($joined, $this->bus);
    }

    /**
     * All is published: the batch ends when its last job has. Again changes nothing.
     *
     * @return array<string, mixed> as `status`
     * @throws RefusedException CONFLICT if it has expired or was abandoned
     */
    public function close(): array
    {
        return $this->ask('BATCHCLOSE');
    }

    /**
     * What has become of its jobs so far.
     *
     * @return array<string, mixed> id, state (open, closed, ended, expired, abandoned), jobs,
     *   deliveries, open, done, dead, discarded, errors (code and count), then-queue, then-job, and
     *   opened-, closed-, ended- and expires-at-ms
     */
    public function status(): array
    {
        return $this->ask('BATCHSHOW');
    }

    /** @return array<string, mixed> */
    private function ask(string $command): array
    {
        $reply = $this->bus->call($this->queue, [$command, $this->id], self::ANSWER_SECONDS);
        $status = [];
        foreach (array_chunk($reply, 2) as [$name, $value]) {
            $status[$name] = $value;
        }
        $status['errors'] = json_decode($status['errors'], true);
        return $status;
    }
}
