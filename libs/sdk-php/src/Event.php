<?php

declare(strict_types=1);

namespace Malabar;

use Malabar\Redis\ErrorReply;

/**
 * Something that happened. The bus gives it to every task that is registered for it:
 *
 *     Event::name('order_create')->unique("order-$id")->publish(['order' => $id]);
 *
 * Events are values: each method returns a changed copy.
 */
final class Event
{
    /** A pipeline is cut here, so that neither side has to hold more. */
    private const PIPELINE_EVENTS = 500;

    /** The bus's own limit comes first, so that its words are heard. */
    private const ANSWER_SECONDS = 2.0;

    /** @var string */
    private $name;

    /** @var string */
    private $queue;

    /** @var array<string, string> options of ADDJOB */
    private $options = [];

    /** @var array<string, string> by name */
    private $headers = [];

    /** @var array<mixed> */
    private $params = [];

    private function __construct(string $name)
    {
        $this->name = $name;
        $this->queue = Names::check('event', $name);
    }

    public static function name(string $name): self
    {
        return new self($name);
    }

    /** The queue that carries it; its own name unless said. */
    public function queue(string $queue): self
    {
        $copy = clone $this;
        $copy->queue = Names::check('queue', $queue);
        return $copy;
    }

    /** No task gets it before so many seconds. */
    public function delay(float $seconds): self
    {
        return $this->option('DELAY', Seconds::text($seconds));
    }

    /** Dropped if no task got it within so many seconds. */
    public function expire(float $seconds): self
    {
        return $this->option('TTL', Seconds::text($seconds));
    }

    /** Order and fairness key, e.g. a user's id. */
    public function key(string $key): self
    {
        return $this->option('KEY', $key);
    }

    /** Published again under the same id within the window, it stays one job, and its id is answered. */
    public function unique(string $id, ?float $windowSeconds = null): self
    {
        $unique = $this->option('UNIQUE', $id);
        if ($windowSeconds === null) {
            return $unique;
        }
        return $unique->option('WINDOW', Seconds::text($windowSeconds));
    }

    /**
     * Puts it off so long, and in the place of the event with the same `unique` id as long as no task has
     * begun that one; else it is an event of its own.
     *
     * @param float $seconds how long it waits, anew with each publication
     * @param float|null $maxWaitSeconds due at the latest so long after the first that was replaced
     */
    public function debounce(float $seconds, ?float $maxWaitSeconds = null): self
    {
        $debounced = $this->option('DEBOUNCE', Seconds::text($seconds));
        if ($maxWaitSeconds === null) {
            return $debounced;
        }
        return $debounced->option('MAXWAIT', Seconds::text($maxWaitSeconds));
    }

    /** 0 (usual) to 9 (first). */
    public function priority(int $priority): self
    {
        return $this->option('PRIORITY', (string) $priority);
    }

    /** It joins a batch, by id: a task does so with `Context::batch()`. */
    public function batch(string $id): self
    {
        return $this->option('BATCH', $id);
    }

    /** Travels beside the parameters; a task reads it with `Context::header($name)`. */
    public function header(string $name, string $value): self
    {
        $copy = clone $this;
        $copy->headers = Headers::with($this->headers, $name, $value);
        return $copy;
    }

    /** @param array<mixed> $params what the tasks get */
    public function with(array $params): self
    {
        $copy = clone $this;
        $copy->params = $params;
        return $copy;
    }

    /**
     * Publishes it; returns the job's id once the bus has it on disk.
     *
     * @param array<mixed>|null $params what the tasks get, instead of those of `with`
     * @throws PublishException the bus refused it
     * @throws ConnectionException which says whether it is safe to try again
     */
    public function publish(?array $params = null, ?Bus $bus = null): string
    {
        return self::publishAll([$params === null ? $this : $this->with($params)], $bus)[0];
    }

    /**
     * Publishes several at once, in one round trip for hundreds of them.
     *
     * @param list<self> $events
     * @return list<string> the jobs' ids
     * @throws PublishException some were refused; it tells which ones, and the ids of the others
     * @throws ConnectionException which says whether it is safe to try all of them again
     */
    public static function publishAll(array $events, ?Bus $bus = null): array
    {
        $bus = $bus ?? Bus::shared();
        $answers = [];
        try {
            foreach (array_chunk($events, self::PIPELINE_EVENTS) as $part) {
                array_push($answers, ...self::send($bus, $part));
            }
        } catch (ConnectionException $broken) {
            $sent = $answers !== [] || $broken->mayHaveHappened();
            throw new ConnectionException($broken->getMessage(), $sent, self::allUnique($events));
        }
        foreach ($answers as $answer) {
            if ($answer instanceof ErrorReply) {
                throw new PublishException($answers);
            }
        }
        return $answers;
    }

    /**
     * @param list<self> $events
     * @return list<string|ErrorReply>
     */
    private static function send(Bus $bus, array $events): array
    {
        $queues = array_map(static fn (self $event) => $event->queue, $events);
        $commands = array_map(static fn (self $event) => $event->command($bus), $events);
        return $bus->pipeline($queues, $commands, $bus->timeout() + self::ANSWER_SECONDS);
    }

    /** @param list<self> $events */
    private static function allUnique(array $events): bool
    {
        foreach ($events as $event) {
            // One that is debounced is published anew if a task has begun it meanwhile.
            if (!isset($event->options['UNIQUE']) || isset($event->options['DEBOUNCE'])) {
                return false;
            }
        }
        return true;
    }

    /**
     * Queue, body and headers of the job that follows a batch. What else was said of it means nothing there.
     *
     * @internal
     * @return array{0: string, 1: string, 2: array<string, string>}
     */
    public function asFollower(): array
    {
        if ($this->options !== []) {
            $name = key($this->options);
            throw new \InvalidArgumentException("an event that follows a batch takes no $name");
        }
        $body = $this->params === [] ? '' : Envelope::write($this->name, $this->params);
        return [$this->queue, $body, $this->headers];
    }

    /** @return list<string> */
    private function command(Bus $bus): array
    {
        $body = Envelope::write($this->name, $this->params);
        $command = ['ADDJOB', $this->queue, $body, (string) (int) ($bus->timeout() * 1000)];
        foreach ($this->options as $name => $value) {
            array_push($command, $name, $value);
        }
        foreach ($this->headers as $name => $value) {
            array_push($command, 'HEADER', (string) $name, $value);
        }
        return $command;
    }

    private function option(string $name, string $value): self
    {
        $copy = clone $this;
        $copy->options[$name] = $value;
        return $copy;
    }
}
