<?php

// Tasks that do what the event's parameters tell them. Returns the registry.

require_once __DIR__ . '/../../../../libs/sdk-php/autoload.php';
require_once __DIR__ . '/Act.php';
require_once __DIR__ . '/TaskOrderModel.php';

use Malabar\Bus;
use Malabar\Registry;

Bus::configure(['address' => getenv('BUS') ?: '127.0.0.1:1', 'timeout' => 5]);

$registry = new Registry();
foreach (['by_fpm', 'by_worker', 'chunked', 'brief'] as $event) {
    $registry->register($event, 'act', Act::class);
}
$registry->register('by_fpm', 'nothing', 'no_such_function');
$registry->registerModel('legacy', 'closeOrder', 'order');
$registry->registerModel('legacy', 'reopenOrder', 'order');
return $registry;
