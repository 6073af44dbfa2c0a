<?php

declare(strict_types=1);

namespace Malabar;

use Malabar\Redis\Client;
use Malabar\Redis\ErrorReply;

/** Where the bus is and how to prove oneself there; connects when first needed. */
final class Bus
{
    private const DEFAULTS = [
        'address' => '127.0.0.1:6380',
        'passwords' => [],
        'timeout' => 10.0,
        'connect_timeout' => 2.0,
    ];

    /** @var self|null what events are published to unless told otherwise */
    private static $shared;

    /** @var array<string, mixed> */
    private $options;

    /** @var Client */
    private $client;

    /** @var array<string, true> the places that this connection has proven */
    private $proven = [];

    /**
     * @param array<string, mixed> $options `address` of the Redis port (`host:port` or
     *   `tls://host:port`), `passwords` by `queue` or `queue/topic`, `timeout` and `connect_timeout`
     *   in seconds
     */
    public function __construct(array $options = [])
    {
        $unknown = array_diff_key($options, self::DEFAULTS);
        if ($unknown !== []) {
            $names = implode(', ', array_keys(self::DEFAULTS));
            throw new \InvalidArgumentException(
                'the bus has no option ' . key($unknown) . "; it knows $names"
            );
        }
        $this->options = $options + self::DEFAULTS;
        $this->client = new Client($this->options['address'], $this->options['connect_timeout']);
    }

    /**
     * Sets the bus that `Event::publish` and the workers use.
     *
     * @param array<string, mixed> $options as the constructor takes them
     */
    public static function configure(array $options): self
    {
        return self::$shared = new self($options);
    }

    /** The bus that was configured, or the one of this machine. */
    public static function shared(): self
    {
        return self::$shared ?? self::configure([]);
    }

    /** @return array<string, mixed> what makes another connection to the same bus */
    public function options(): array
    {
        return $this->options;
    }

    /** Seconds that a request may take. */
    public function timeout(): float
    {
        return (float) $this->options['timeout'];
    }

    /**
     * Sends commands at once, after proving to be allowed to use these places.
     *
     * @param list<string> $places `queue` or `queue/topic`
     * @param list<list<string>> $commands
     * @return list<mixed> the replies; refusals as ErrorReply
     */
    public function pipeline(array $places, array $commands, ?float $seconds = null): array
    {
        if ($this->client->open()) {
            $this->proven = [];
        }
        $logins = $this->logins($places);
        $replies = $this->client->pipeline(
            array_merge(array_values($logins), $commands),
            $seconds ?? $this->timeout()
        );
        foreach (array_keys($logins) as $i => $place) {
            if ($replies[$i] instanceof ErrorReply) {
                throw new RefusedException($replies[$i]);
            }
            $this->proven[$place] = true;
        }
        return array_slice($replies, count($logins));
    }

    /**
     * Sends one command.
     *
     * @param list<string> $command
     * @return mixed
     */
    public function call(string $place, array $command, ?float $seconds = null)
    {
        [$reply] = $this->pipeline([$place], [$command], $seconds);
        if ($reply instanceof ErrorReply) {
            throw new RefusedException($reply);
        }
        return $reply;
    }

    public function close(): void
    {
        $this->client->close();
    }

    /**
     * @param list<string> $places
     * @return array<string, list<string>> the AUTH commands that are still to be sent
     */
    private function logins(array $places): array
    {
        $logins = [];
        foreach (array_unique($places) as $place) {
            [$queue] = explode('/', $place);
            foreach ([$queue, $place] as $identity) {
                $password = $this->options['passwords'][$identity] ?? null;
                if ($password !== null && !isset($this->proven[$identity])) {
                    $logins[$identity] = ['AUTH', $identity, $password];
                }
            }
        }
        return $logins;
    }
}
