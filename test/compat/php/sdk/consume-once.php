<?php

// As consume.php, with a memory of what is done: php-fpm's working folder.

$registry = require __DIR__ . '/tasks.php';

Malabar\FastCgi\Consumer::serve($registry, new Malabar\Idempotence\FileStore(getcwd()));
