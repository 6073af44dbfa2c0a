<?php

declare(strict_types=1);

// The package's classes for whoever does not use composer.

spl_autoload_register(static function (string $class): void {
    if (strncmp($class, 'Malabar\\', 8) !== 0) {
        return;
    }
    $file = __DIR__ . '/src/' . strtr(substr($class, 8), '\\', '/') . '.php';
    if (is_file($file)) {
        require $file;
    }
});
