<?php

declare(strict_types=1);

namespace Malabar\Redis;

use Malabar\ConnectionException;
use Malabar\RefusedException;

/**
 * One connection that speaks the Redis protocol. It knows of every command of a pipeline how it
 * ended, and of every failure whether anything had been sent.
 */
final class Client
{
    private const CHUNK_BYTES = 65536;

    /** @var string */
    private $address;

    /** @var float */
    private $connectSeconds;

    /** @var resource|null */
    private $socket;

    /** @var string what has come and is not read yet */
    private $buffer = '';

    /** @var bool bytes of the present pipeline have left */
    private $sent = false;

    /** @param string $address `host:port`, `unix:///path` or `tls://host:port` */
    public function __construct(string $address, float $connectSeconds = 2.0)
    {
        $this->address = strpos($address, '://') === false ? "tcp://$address" : $address;
        $this->connectSeconds = $connectSeconds;
    }

    /** Connects unless it is connected; true if the connection is a new one. */
    public function open(): bool
    {
        if ($this->socket !== null && !$this->hasEnded()) {
            return false;
        }
        $this->close();
        $socket = @stream_socket_client($this->address, $number, $words, $this->connectSeconds);
        if ($socket === false) {
            throw new ConnectionException("cannot connect to {$this->address}: $words", false);
        }
        stream_set_blocking($socket, false);
        $this->socket = $socket;
        return true;
    }

    public function close(): void
    {
        if ($this->socket !== null) {
            fclose($this->socket);
        }
        $this->socket = null;
        $this->buffer = '';
    }

    /**
     * Sends one command and returns its reply.
     *
     * @param list<string> $command
     * @return mixed
     */
    public function call(array $command, float $seconds)
    {
        [$reply] = $this->pipeline([$command], $seconds);
        if ($reply instanceof ErrorReply) {
            throw new RefusedException($reply);
        }
        return $reply;
    }

    /**
     * Sends commands at once; returns their replies in order, errors as ErrorReply.
     *
     * @param list<list<string>> $commands
     * @return list<mixed>
     */
    public function pipeline(array $commands, float $seconds): array
    {
        $this->open();
        $this->sent = false;
        $until = microtime(true) + $seconds;
        $this->write(implode('', array_map([self::class, 'encode'], $commands)), $until);
        $replies = [];
        foreach ($commands as $ignored) {
            $replies[] = $this->reply($until);
        }
        return $replies;
    }

    /** @param list<string> $command */
    private static function encode(array $command): string
    {
        $text = '*' . count($command) . "\r\n";
        foreach ($command as $word) {
            $text .= '$' . strlen($word) . "\r\n$word\r\n";
        }
        return $text;
    }

    /** Nothing was asked of the other side: all that it can have to say is that it has closed. */
    private function hasEnded(): bool
    {
        return $this->ready([$this->socket], [], 0.0);
    }

    private function write(string $bytes, float $until): void
    {
        for ($at = 0; $at < strlen($bytes); $at += $written) {
            if (!$this->ready([], [$this->socket], $until - microtime(true))) {
                throw $this->broken('took no more bytes in time');
            }
            $written = @fwrite($this->socket, substr($bytes, $at, self::CHUNK_BYTES));
            if ($written === false) {
                throw $this->broken('was closed while sending');
            }
            $this->sent = true;
        }
    }

    /** @return mixed */
    private function reply(float $until)
    {
        $line = $this->line($until);
        $value = substr($line, 1);
        switch ($line[0] ?? '') {
            case '+':
                return $value;
            case '-':
                return new ErrorReply($value);
            case ':':
                return (int) $value;
            case '$':
                return $value === '-1' ? null : $this->bulk((int) $value, $until);
            case '*':
                return $value === '-1' ? null : $this->items((int) $value, $until);
        }
        throw $this->broken('sent what is no reply of Redis');
    }

    /** @return list<mixed> */
    private function items(int $count, float $until): array
    {
        $items = [];
        while (count($items) < $count) {
            $items[] = $this->reply($until);
        }
        return $items;
    }

    private function bulk(int $length, float $until): string
    {
        while (strlen($this->buffer) < $length + 2) {
            $this->more($until);
        }
        return substr($this->take($length + 2), 0, $length);
    }

    private function line(float $until): string
    {
        while (($end = strpos($this->buffer, "\r\n")) === false) {
            $this->more($until);
        }
        return substr($this->take($end + 2), 0, $end);
    }

    private function take(int $length): string
    {
        $taken = substr($this->buffer, 0, $length);
        $this->buffer = (string) substr($this->buffer, $length);
        return $taken;
    }

    private function more(float $until): void
    {
        // Read before waiting: TLS may hold bytes that a select does not see.
        while (($bytes = (string) @fread($this->socket, self::CHUNK_BYTES)) === '') {
            if (feof($this->socket)) {
                throw $this->broken('was closed before the answer');
            }
            if (!$this->ready([$this->socket], [], $until - microtime(true))) {
                throw $this->broken('did not answer in time');
            }
        }
        $this->buffer .= $bytes;
    }

    /**
     * @param list<resource> $read
     * @param list<resource> $write
     */
    private function ready(array $read, array $write, float $seconds): bool
    {
        $until = microtime(true) + $seconds;
        do {
            $none = [];
            $left = max(0.0, $until - microtime(true));
            // False when a signal came: its handler runs, and the wait goes on.
            $count = @stream_select($read, $write, $none, (int) $left, (int) (fmod($left, 1) * 1e6));
        } while ($count === false && microtime(true) < $until);
        return (int) $count > 0;
    }

    private function broken(string $how): ConnectionException
    {
        $sent = $this->sent;
        $this->close();
        return new ConnectionException("the connection to {$this->address} $how", $sent);
    }
}
