<?php

declare(strict_types=1);

namespace Malabar\Idempotence;

use Malabar\Redis\Client;

/** In a Redis (a real one: Malabar's own port is no database). */
final class RedisStore implements Store
{
    private const RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then
        return redis.call('del', KEYS[1]) end return 0";

    /** @var callable */
    private $call;

    /** @var string */
    private $prefix;

    /**
     * @param callable $call sends a command, given as a list of words, and returns its reply: for
     *   phpredis `fn (array $words) => $redis->rawCommand(...$words)`
     */
    public function __construct(callable $call, string $prefix = 'malabar:once:')
    {
        $this->call = $call;
        $this->prefix = $prefix;
    }

    /** By the client that the package brings. */
    public static function connect(string $address, ?string $password = null): self
    {
        $client = new Client($address);
        $seconds = 5.0;
        return new self(static function (array $words) use ($client, $password, $seconds) {
            if ($client->open() && $password !== null) {
                $client->call(['AUTH', $password], $seconds);
            }
            return $client->call($words, $seconds);
        });
    }

    public function claim(string $key, string $claim, float $leaseSeconds): ?string
    {
        $set = ['SET', $this->prefix . $key, $claim, 'NX', 'PX', self::milliseconds($leaseSeconds)];
        do {
            // OK is true, and nothing is false, by phpredis.
            if (in_array(($this->call)($set), ['OK', true], true)) {
                return null;
            }
            $found = ($this->call)(['GET', $this->prefix . $key]);
        } while (!is_string($found));
        return $found;
    }

    public function finish(string $key, string $value, float $ttlSeconds): void
    {
        ($this->call)(['SET', $this->prefix . $key, $value, 'PX', self::milliseconds($ttlSeconds)]);
    }

    public function release(string $key, string $claim): void
    {
        ($this->call)(['EVAL', self::RELEASE, '1', $this->prefix . $key, $claim]);
    }

    private static function milliseconds(float $seconds): string
    {
        return (string) max(1, (int) round($seconds * 1000));
    }
}
