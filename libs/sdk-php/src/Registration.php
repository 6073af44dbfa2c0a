<?php

declare(strict_types=1);

namespace Malabar;

/** That a task is to be done about an event, by whom, and what the bus is to know about it. */
final class Registration
{
    private const OPTIONS = ['queue', 'delay', 'retry', 'timeout', 'concurrency', 'chunk', 'target'];

    /** @var string */
    private $event;

    /** @var string */
    private $task;

    /** @var Task|callable|string */
    private $handler;

    /** @var array<string, mixed> */
    private $options;

    /**
     * @param Task|callable|string $handler a Task, the name of its class, or a function with the
     *   arguments of `Task::handle`
     * @param array<string, mixed> $options as `Registry::register` takes them
     */
    public function __construct(string $event, string $task, $handler, array $options)
    {
        $unknown = array_diff(array_keys($options), self::OPTIONS);
        if ($unknown !== []) {
            $known = implode(', ', self::OPTIONS);
            $name = reset($unknown);
            throw new \InvalidArgumentException("a task has no option '$name'; it has $known");
        }
        $this->event = Names::check('event', $event);
        $this->task = Names::check('task', $task);
        $this->handler = $handler;
        $this->options = $options;
        Names::check('queue', $this->queue());
    }

    public function event(): string
    {
        return $this->event;
    }

    /** Its name, which is the topic's. */
    public function task(): string
    {
        return $this->task;
    }

    /** The queue that carries the event; named as it unless said. */
    public function queue(): string
    {
        return $this->options['queue'] ?? $this->event;
    }

    /** `queue/topic`, as the bus names it. */
    public function path(): string
    {
        return $this->queue() . '/' . $this->task;
    }

    /** @return array<string, mixed> */
    public function options(): array
    {
        return $this->options;
    }

    /** What does the task: called with the parameters and the context. */
    public function handler(): callable
    {
        $handler = $this->handler;
        if (is_string($handler) && is_subclass_of($handler, Task::class)) {
            $handler = new $handler();
        }
        if ($handler instanceof Task) {
            return [$handler, 'handle'];
        }
        if (is_callable($handler)) {
            return $handler;
        }
        $name = is_string($handler) ? $handler : gettype($handler);
        throw new UnknownTaskException(
            "{$this->path()}: $name is neither a class that implements Malabar\\Task nor callable"
        );
    }
}
