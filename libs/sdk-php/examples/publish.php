<?php

declare(strict_types=1);

// The shop's web page: php publish.php order_create 7

require_once __DIR__ . '/../autoload.php';
require_once __DIR__ . '/orders.php';

use Malabar\Bus;
use Malabar\Event;

[, $event, $order] = $argv;
Bus::configure(['address' => getenv('BUS') ?: '127.0.0.1:6380']);

if ($event === 'order_paid') {
    note("order $order paid");
}
echo Event::name($event)->unique("$event-$order")->publish(['order' => (int) $order]), "\n";
