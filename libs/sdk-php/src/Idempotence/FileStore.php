<?php

declare(strict_types=1);

namespace Malabar\Idempotence;

/** In a folder: for tests, and for programs that run on one machine. */
final class FileStore implements Store
{
    /** @var string */
    private $dir;

    public function __construct(string $dir)
    {
        $this->dir = $dir;
    }

    public function claim(string $key, string $claim, float $leaseSeconds): ?string
    {
        return $this->change($key, static function (?string $found) use ($claim, $leaseSeconds) {
            return $found === null ? [$claim, $leaseSeconds] : null;
        });
    }

    public function finish(string $key, string $value, float $ttlSeconds): void
    {
        $this->change($key, static fn () => [$value, $ttlSeconds]);
    }

    public function release(string $key, string $claim): void
    {
        $this->change($key, static fn (?string $found) => $found === $claim ? ['', 0.0] : null);
    }

    /**
     * Alone with the key's file.
     *
     * @param callable $change gets the value or null, returns the new one with its seconds, or null
     */
    private function change(string $key, callable $change): ?string
    {
        $file = fopen($this->dir . '/' . sha1($key), 'c+');
        if ($file === false || !flock($file, LOCK_EX)) {
            throw new \RuntimeException("cannot use {$this->dir} as a store");
        }
        try {
            [$until, $value] = explode(' ', (string) stream_get_contents($file), 2) + ['0', ''];
            $found = (float) $until > microtime(true) ? $value : null;
            $new = $change($found);
            if ($new !== null) {
                ftruncate($file, 0);
                rewind($file);
                fwrite($file, sprintf('%.6F %s', microtime(true) + $new[1], $new[0]));
            }
            return $found;
        } finally {
            fclose($file);
        }
    }
}
