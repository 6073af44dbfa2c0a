<?php

declare(strict_types=1);

namespace Malabar\Worker;

use Malabar\MalabarException;
use Malabar\Verdict;

/**
 * Keeps children at work: starts them, again when they end, keeps their leases and speaks for
 * those that died. It closes its connections at once: none is open when it forks.
 */
final class Master
{
    private const TURN_MICROSECONDS = 250000;

    /** @var Options */
    private $options;

    /** @var callable */
    private $child;

    /** @var list<Slot> */
    private $slots = [];

    /** @var float|null when whoever still runs is killed */
    private $drainedAt;

    /** @param callable $child what a child does, given its Report */
    public function __construct(Options $options, callable $child)
    {
        $this->options = $options;
        $this->child = $child;
        for ($i = 0; $i < $options->number('processes'); $i++) {
            $this->slots[] = new Slot();
        }
    }

    public static function isPossible(): bool
    {
        return function_exists('pcntl_fork') && function_exists('posix_kill');
    }

    /** Returns when it was told to stop and the last child has ended. */
    public function run(): void
    {
        pcntl_async_signals(true);
        foreach ([SIGTERM, SIGINT] as $signal) {
            pcntl_signal($signal, [$this, 'drain']);
        }
        // So that the end of a child ends the wait.
        pcntl_signal(SIGCHLD, static function (): void {
        });
        do {
            $this->startWhoIsDue();
            $this->wait();
            $this->buryTheDead();
            array_map([$this, 'attend'], $this->living());
        } while ($this->drainedAt === null || $this->living() !== []);
    }

    /** Lets every child end its job and starts none. */
    public function drain(): void
    {
        if ($this->drainedAt !== null) {
            return;
        }
        $this->drainedAt = microtime(true) + $this->options->number('drain');
        foreach ($this->living() as $slot) {
            posix_kill($slot->pid(), SIGTERM);
        }
    }

    /** @return list<Slot> */
    private function living(): array
    {
        return array_values(array_filter($this->slots, static fn (Slot $slot) => $slot->pid() > 0));
    }

    private function startWhoIsDue(): void
    {
        foreach ($this->slots as $slot) {
            if ($this->drainedAt === null && $slot->isDue()) {
                $this->start($slot);
            }
        }
    }

    private function start(Slot $slot): void
    {
        [$mine, $theirs] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
        // A signal to stop must find the child with a pid that is known.
        pcntl_sigprocmask(SIG_BLOCK, [SIGTERM, SIGINT]);
        $pid = pcntl_fork();
        if ($pid === 0) {
            fclose($mine);
            $this->becomeChild($theirs);
        }
        fclose($theirs);
        if ($pid > 0) {
            $slot->started($pid, $mine);
        } else {
            Log::line('cannot fork');
            fclose($mine);
            $slot->ended(false);
        }
        pcntl_sigprocmask(SIG_UNBLOCK, [SIGTERM, SIGINT]);
    }

    /** @param resource $pipe */
    private function becomeChild($pipe): void
    {
        foreach ($this->slots as $slot) {
            $slot->forget();
        }
        pcntl_signal(SIGCHLD, SIG_DFL);
        ($this->child)(new Report($pipe));
        exit(0);
    }

    /** Until a child says something or ends, or a turn is over. */
    private function wait(): void
    {
        $pipes = array_map(static fn (Slot $slot) => $slot->pipe(), $this->living());
        if ($pipes === []) {
            usleep(self::TURN_MICROSECONDS);
            return;
        }
        $none = [];
        @stream_select($pipes, $none, $none, 0, self::TURN_MICROSECONDS);
        foreach ($this->living() as $slot) {
            $slot->listen();
        }
    }

    private function buryTheDead(): void
    {
        while (($pid = pcntl_waitpid(-1, $status, WNOHANG)) > 0) {
            foreach ($this->living() as $slot) {
                if ($slot->pid() === $pid) {
                    $this->bury($slot, $status);
                }
            }
        }
    }

    private function bury(Slot $slot, int $status): void
    {
        $slot->listen();
        $isWell = pcntl_wifexited($status) && pcntl_wexitstatus($status) === 0;
        $how = pcntl_wifsignaled($status)
            ? 'was killed by signal ' . pcntl_wtermsig($status)
            : 'ended with code ' . pcntl_wexitstatus($status);
        if (!$isWell) {
            Log::line("process {$slot->pid()} $how");
        }
        $words = "the worker's process {$slot->pid()} $how";
        $this->speakFor($slot, Verdict::crash($words, 'WORKER_DIED'));
        $slot->ended($isWell);
    }

    /** What a living child needs: more time, or an end. */
    private function attend(Slot $slot): void
    {
        $limit = $this->options->number('timeout');
        if ($limit > 0 && $slot->workedSeconds() > $limit) {
            $words = "took longer than --timeout $limit allows";
            $this->kill($slot, Verdict::crash($words, 'TIMEOUT'));
        } elseif ($this->drainedAt !== null && microtime(true) > $this->drainedAt) {
            $this->kill($slot, Verdict::release('cut short: the worker had to stop'));
        } elseif ($limit > 0 && $slot->wantsExtension()) {
            $this->extend($slot);
        }
    }

    private function kill(Slot $slot, Verdict $verdict): void
    {
        posix_kill($slot->pid(), SIGKILL);
        $this->speakFor($slot, $verdict);
    }

    private function speakFor(Slot $slot, Verdict $verdict): void
    {
        $lease = $slot->lease();
        if ($lease !== null) {
            $this->tell($slot, static fn (Source $source) => $source->settle($lease, $verdict));
            $slot->letGo();
        }
    }

    private function extend(Slot $slot): void
    {
        $lease = $slot->lease();
        $this->tell($slot, static fn (Source $source) => $source->extend($lease));
        $slot->extended();
    }

    /** Best effort: a lease that nobody speaks for ends by itself. */
    private function tell(Slot $slot, callable $what): void
    {
        $source = $slot->source();
        if ($source === null) {
            return;
        }
        try {
            $what($source);
        } catch (MalabarException $fault) {
            Log::line("for process {$slot->pid()}: {$fault->getMessage()}");
        } finally {
            $source->close();
        }
    }
}
