<?php

declare(strict_types=1);

namespace Malabar\Tasks;

use Malabar\Registration;
use Malabar\Registry;
use Malabar\Seconds;

/** Registrations as the bus is configured: each event a queue, each of its tasks a topic. */
final class Documents
{
    private const DURATIONS = ['min', 'max', 'age'];

    /**
     * @param string $target where deliveries go unless a task says otherwise
     * @return array<string, mixed> the part `queues` of malabar.yaml
     */
    public static function of(Registry $registry, string $target): array
    {
        $queues = [];
        foreach ($registry->all() as $registration) {
            $topic = self::topic($registration->options() + ['target' => $target]);
            $queues[$registration->queue()]['topics'][$registration->task()] = $topic;
        }
        return ['queues' => $queues];
    }

    /**
     * @param array<string, mixed> $options
     * @return array<string, mixed>
     */
    private static function topic(array $options): array
    {
        $topic = ['target' => $options['target']];
        foreach (['delay', 'timeout'] as $name) {
            if (isset($options[$name])) {
                $topic[$name] = self::duration($options[$name]);
            }
        }
        $topic += array_intersect_key($options, ['concurrency' => true, 'chunk' => true]);
        if (isset($options['retry'])) {
            $topic['retry'] = self::retry($options['retry']);
        }
        return $topic;
    }

    /**
     * @param int|array<string, mixed> $retry
     * @return array<string, mixed>
     */
    private static function retry($retry): array
    {
        if (is_int($retry)) {
            return ['attempts' => $retry];
        }
        foreach (array_intersect(self::DURATIONS, array_keys($retry)) as $name) {
            $retry[$name] = self::duration($retry[$name]);
        }
        if (isset($retry['ladder'])) {
            $retry['ladder'] = array_map([self::class, 'duration'], $retry['ladder']);
        }
        return $retry;
    }

    /** @param int|float|string $value seconds, or as malabar.yaml writes it */
    private static function duration($value): string
    {
        if (is_string($value)) {
            return $value;
        }
        $isWhole = (float) $value === floor((float) $value);
        return $isWhole ? Seconds::text((float) $value) . 's' : round($value * 1000) . 'ms';
    }
}
