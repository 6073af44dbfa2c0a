<?php

declare(strict_types=1);

// The script that php-fpm runs for each request of the bus.

$registry = require __DIR__ . '/tasks.php';

Malabar\FastCgi\Consumer::serve($registry);
