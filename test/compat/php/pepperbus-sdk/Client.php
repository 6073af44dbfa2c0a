<?php

namespace PepperBus;

/** Pushes jobs over the Redis protocol, with the extension phpredis. */
class Client
{
    const CONNECT_TIMEOUT_S = 3;

    private $redis;

    public function __construct($host, $port)
    {
        $this->redis = new \Redis();
        $this->redis->connect($host, $port, self::CONNECT_TIMEOUT_S);
    }

    /** Returns the bus's answer as it came: {"jobs":["id"],"inTraceId":"...","error":""}. */
    public function addJob($queue, $password, $content)
    {
        $this->redis->auth("$queue:$password");
        return $this->redis->rawCommand('lpush', "$queue/default", $content);
    }
}
