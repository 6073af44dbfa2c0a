<?php

declare(strict_types=1);

namespace Malabar;

use Malabar\Idempotence\Store;

/**
 * Does a piece of work once, however often the job that asks for it is delivered:
 *
 *     Idempotent::useStore(RedisStore::connect('127.0.0.1:6379'));
 *     $receipt = Idempotent::once("charge-$order", fn () => charge($order));
 *
 * A claim is a lease: if the process dies at work, another may do it after `leaseSeconds`. So work
 * that can die between its effect and its end should give the key to whom it calls, too.
 */
final class Idempotent
{
    private const DONE = 'done:';

    /** @var Store|null */
    private static $shared;

    /** Sets the store that `once` uses unless it is given one. */
    public static function useStore(Store $store): void
    {
        self::$shared = $store;
    }

    /**
     * Calls `$work` unless it has been done under this key; returns its result, kept as JSON, then
     * and later. What `$work` throws goes through, and it may be tried again.
     *
     * @param float $ttlSeconds how long to remember that it is done
     * @param float $leaseSeconds the longest that the work may take
     * @return mixed
     * @throws AlreadyRunningException somebody else is at it
     */
    public static function once(
        string $key,
        callable $work,
        float $ttlSeconds = 86400,
        ?Store $store = null,
        float $leaseSeconds = 60
    ) {
        $store = $store ?? self::$shared;
        if ($store === null) {
            throw new \LogicException('Idempotent::useStore has not been called');
        }
        $claim = bin2hex(random_bytes(8));
        $found = $store->claim($key, $claim, $leaseSeconds);
        if ($found !== null) {
            return self::resultOf($key, $found, $leaseSeconds);
        }
        try {
            $result = json_encode($work(), JSON_PARTIAL_OUTPUT_ON_ERROR);
        } catch (\Throwable $thrown) {
            $store->release($key, $claim);
            throw $thrown;
        }
        $store->finish($key, self::DONE . $result, $ttlSeconds);
        return json_decode($result, true);
    }

    /** @return mixed */
    private static function resultOf(string $key, string $found, float $leaseSeconds)
    {
        if (strncmp($found, self::DONE, strlen(self::DONE)) !== 0) {
            throw new AlreadyRunningException("$key is being worked on", $leaseSeconds);
        }
        return json_decode(substr($found, strlen(self::DONE)), true);
    }
}
