<?php

declare(strict_types=1);

namespace Malabar\Tasks;

use Malabar\Bootstrap;

/** The command malabar-tasks. */
final class Command
{
    private const USAGE = <<<'TEXT'
malabar-tasks export --bootstrap FILE [--target TARGET]

  Prints the registered tasks as documents of malabar.yaml.

  --bootstrap FILE   PHP file that returns the Malabar\Registry
  --target TARGET    where deliveries go unless a task says otherwise: pull (the default, for
                     malabar-worker) or fastcgi://unix:/run/php/php-fpm.sock/srv/shop/consume.php

TEXT;

    /**
     * @param list<string> $words
     * @return int the exit code
     */
    public static function run(array $words): int
    {
        if (array_shift($words) !== 'export') {
            return self::refuse('the only command is export');
        }
        $options = ['--target' => 'pull'];
        foreach (array_chunk($words, 2) as $pair) {
            if (!in_array($pair[0], ['--bootstrap', '--target'], true) || !isset($pair[1])) {
                return self::refuse("there is no option $pair[0], or it has no value");
            }
            $options[$pair[0]] = $pair[1];
        }
        try {
            $registry = Bootstrap::load($options['--bootstrap'] ?? '');
            echo Yaml::write(Documents::of($registry, $options['--target']));
            return 0;
        } catch (\InvalidArgumentException $fault) {
            return self::refuse($fault->getMessage());
        }
    }

    private static function refuse(string $words): int
    {
        fwrite(STDERR, "malabar-tasks: $words\n\n" . self::USAGE);
        return 2;
    }
}
