<?php

$registry = require __DIR__ . '/tasks.php';

Malabar\FastCgi\Consumer::serve($registry);
