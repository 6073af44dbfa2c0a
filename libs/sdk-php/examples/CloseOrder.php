<?php

declare(strict_types=1);

use Malabar\Context;
use Malabar\Task;
use Malabar\TaskException;

/** Closes an order that nobody has paid. */
final class CloseOrder implements Task
{
    public function handle(array $params, Context $context): void
    {
        if (!isset($params['order'])) {
            throw new TaskException('which order? there is no parameter `order`');
        }
        if (isPaid($params['order'])) {
            return;
        }
        note("order {$params['order']} closed");
    }
}
