<?php

declare(strict_types=1);

namespace Malabar;

/** The file in which a program registers its tasks. */
final class Bootstrap
{
    /** The registry that the file returns. */
    public static function load(string $file): Registry
    {
        if (!is_file($file)) {
            throw new \InvalidArgumentException("there is no file $file");
        }
        $registry = require $file;
        if (!$registry instanceof Registry) {
            throw new \InvalidArgumentException("$file must return its Malabar\\Registry");
        }
        return $registry;
    }
}
