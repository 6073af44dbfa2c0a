<?php

declare(strict_types=1);

namespace Malabar;

/**
 * What is done about an event. Returning is success, whatever is returned; to fail, throw:
 * RetryException to be called again after a time of your choice, TaskException if no retry can help,
 * anything else to be called again by the topic's retry policy.
 */
interface Task
{
    /** @param array<mixed> $params */
    public function handle(array $params, Context $context);
}
