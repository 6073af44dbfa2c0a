<?php

declare(strict_types=1);

namespace Malabar;

/** Which tasks this program does, and about which events. */
final class Registry
{
    /** @var array<string, array<string, Registration>> by `queue/topic`, then by event */
    private $registrations = [];

    /**
     * Has a task done whenever the event happens.
     *
     * @param Task|callable|string $handler a Task, the name of its class, or a function with the
     *   arguments of `Task::handle`
     * @param array<string, mixed> $options `queue` that carries the event; and for the exported
     *   configuration `delay` and `timeout` in seconds, `retry` as attempts or as a mapping of
     *   malabar.yaml, `concurrency`, `chunk`, `target`
     */
    public function register(string $event, string $task, $handler, array $options = []): self
    {
        $registration = new Registration($event, $task, $handler, $options);
        $path = $registration->path();
        if (isset($this->registrations[$path][$event])) {
            throw new \InvalidArgumentException("$path is registered for $event already");
        }
        $this->registrations[$path][$event] = $registration;
        return $this;
    }

    /** As async-task-lib's EventManager::register: `Task<Topic>Model::<taskName>Task($params)`. */
    public function registerModel(
        string $event,
        string $taskName,
        string $topic,
        float $delaySeconds = 0
    ): self {
        $options = $delaySeconds > 0 ? ['delay' => $delaySeconds] : [];
        return $this->register($event, $taskName, new TaskModel($topic, $taskName), $options);
    }

    /** What does this task about this event; throws if nobody here does. */
    public function handler(string $path, string $event): callable
    {
        $registration = $this->registrations[$path][$event] ?? null;
        if ($registration !== null) {
            return $registration->handler();
        }
        $known = isset($this->registrations[$path])
            ? 'only for ' . implode(', ', array_keys($this->registrations[$path]))
            : 'this program has: ' . (implode(', ', $this->paths()) ?: 'none');
        throw new UnknownTaskException("no handler for event $event at $path; $known");
    }

    /** @return list<string> every `queue/topic` that is served */
    public function paths(): array
    {
        return array_keys($this->registrations);
    }

    /** @return list<Registration> */
    public function all(): array
    {
        return array_merge(...array_map('array_values', array_values($this->registrations)));
    }
}
