<?php

declare(strict_types=1);

namespace Malabar;

/**
 * A handler by the naming convention of async-task-lib: task `closeOrder` of topic `Order` is
 * `TaskOrderModel::closeOrderTask($params)`.
 */
final class TaskModel implements Task
{
    /** @var string */
    private $class;

    /** @var string */
    private $method;

    public function __construct(string $topic, string $task)
    {
        $this->class = 'Task' . ucfirst($topic) . 'Model';
        $this->method = $task . 'Task';
    }

    public function handle(array $params, Context $context)
    {
        if (!class_exists($this->class)) {
            throw new UnknownTaskException("there is no class {$this->class}");
        }
        $model = new $this->class();
        if (!is_callable([$model, $this->method])) {
            throw new UnknownTaskException("{$this->class} has no method {$this->method}");
        }
        return $model->{$this->method}($params);
    }
}
