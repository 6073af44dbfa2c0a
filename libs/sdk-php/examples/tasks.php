<?php

declare(strict_types=1);

// What the shop does about its events. Returns the registry, for php-fpm and for workers alike.

require_once __DIR__ . '/../autoload.php';   // of your application: vendor/autoload.php
require_once __DIR__ . '/CloseOrder.php';
require_once __DIR__ . '/orders.php';

use Malabar\Bus;
use Malabar\Context;
use Malabar\Registry;

Bus::configure(['address' => getenv('BUS') ?: '127.0.0.1:6380']);

$registry = new Registry();

// An order that was not paid in time is closed: ten seconds, here.
$registry->register('order_create', 'close', CloseOrder::class, ['delay' => 10]);

// What is paid and has no weight is shipped at once.
$virtualShipping = static function (array $params, Context $context): void {
    note("order {$params['order']} shipped virtually");
};
$registry->register('order_paid', 'virtual_ship', $virtualShipping, ['retry' => 5]);

return $registry;
