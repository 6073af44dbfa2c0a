<?php
// Reads what `malabar agent` has written, as an application would, and prints values with their types.
$config = require $argv[1];
$types = array_map(fn ($value) => [get_debug_type($value), $value], $config['types']);
echo json_encode(['types' => $types, 'global' => $config['global']], JSON_THROW_ON_ERROR);
