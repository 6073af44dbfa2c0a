/** What all generated classes share: `Values.php`. */
export const PHP_VALUES = `/** Reads the values of one file and notes everything that is wrong with them. */
final class Values
{
    private string $file;

    private array $values;

    private array $faults = [];

    public function __construct(string $file, array $values)
    {
        $this->file = $file;
        $this->values = $values;
    }

    /**
     * A value that is there, or has a default, which is JSON.
     *
     * @return mixed
     */
    public function get(string $type, string $key, ?string $fallback = null)
    {
        if (array_key_exists($key, $this->values)) {
            return $this->optional($type, $key);
        }
        if ($fallback === null) {
            $this->faults[] = "key '$key' is missing";
            return null;
        }
        return self::decode($type, json_decode($fallback, true));
    }

    /**
     * A value that need not be there.
     *
     * @return mixed
     */
    public function optional(string $type, string $key)
    {
        if (!array_key_exists($key, $this->values)) {
            return null;
        }
        try {
            return self::decode($type, $this->values[$key]);
        } catch (\\TypeError $error) {
            $this->faults[] = "key '$key' is not of type $type";
            return null;
        }
    }

    /** Throws if anything was wrong. */
    public function check(): void
    {
        if ($this->faults !== []) {
            $message = $this->file . ': ' . implode('; ', $this->faults);
            throw new \\UnexpectedValueException($message);
        }
    }

    /** @return mixed */
    private static function decode(string $type, $value)
    {
        switch ($type) {
            case 'json':
                return $value;
            case 'time.Duration':
                return self::int($value) / 1e9;
            case 'float64':
                return self::float($value);
            case 'int':
            case 'int64':
                return self::int($value);
            case 'bool':
                return self::bool($value);
            case 'string':
            case 'secret':
                return self::string($value);
        }
        $member = substr($type, strpos($type, ']') + 1);
        return array_map(
            static function ($each) use ($member) {
                return $member === 'struct{}' ? true : self::decode($member, $each);
            },
            self::array($value)
        );
    }

    private static function int(int $value): int
    {
        return $value;
    }

    private static function float(float $value): float
    {
        return $value;
    }

    private static function bool(bool $value): bool
    {
        return $value;
    }

    private static function string(string $value): string
    {
        return $value;
    }

    private static function array(array $value): array
    {
        return $value;
    }
}
`;
