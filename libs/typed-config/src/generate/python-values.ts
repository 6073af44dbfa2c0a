/** What all generated modules share: `values.py`. */
export const PYTHON_VALUES = `import json
from datetime import timedelta


class Sections(dict):
    """Values by (file, section) and key, each a JSON value with its type where that is known."""


def sections_of(source):
    """The values of an EffectiveConfig message, or of the JSON document that the agent writes."""
    if isinstance(source, Sections):
        return source
    if isinstance(source, dict):
        return Sections({(name, ''): _untyped(values) for name, values in source.items()})
    return Sections({(file.name, file.section): _typed(file.values) for file in source.files})


def _untyped(values):
    return {key: (None, value) for key, value in values.items()}


def _typed(values):
    return {value.key: (value.type, json.loads(value.json)) for value in values}


class Values:
    """Reads the values of one file and notes everything that is wrong with them."""

    def __init__(self, sections, file, section):
        self._values = sections.get((file, section), {})
        self._place = file + ' [' + section + ']' if section else file
        self._faults = []

    def get(self, type, key, fallback=None):
        """A value that is there, or has a default, which is JSON."""
        if key in self._values:
            return self.optional(type, key)
        if fallback is None:
            self._faults.append("key '%s' is missing" % key)
            return None
        return _decode(type, json.loads(fallback))

    def optional(self, type, key):
        """A value that need not be there."""
        if key not in self._values:
            return None
        actual, value = self._values[key]
        try:
            if actual not in (None, type):
                raise TypeError
            return _decode(type, value)
        except (TypeError, ValueError, AttributeError):
            self._faults.append("key '%s' is not of type %s" % (key, type))
            return None

    def check(self):
        if self._faults:
            raise ValueError(self._place + ': ' + '; '.join(self._faults))


def _decode(type, value):
    if type == 'json':
        return value
    if type == 'time.Duration':
        return timedelta(microseconds=_whole(value) // 1000)
    if type.startswith('[]'):
        return [_scalar(type[2:], each) for each in _list(value)]
    if type.startswith('map['):
        return _map(type[4:type.index(']')], type[type.index(']') + 1:], value)
    return _scalar(type, value)


def _map(key_type, value_type, value):
    keys = [int(key) if key_type == 'int' else key for key in value.keys()]
    if value_type == 'struct{}':
        return frozenset(keys)
    return dict(zip(keys, (_decode(value_type, each) for each in value.values())))


def _scalar(type, value):
    if type == 'float64':
        return float(value if isinstance(value, float) else _whole(value))
    if type in ('int', 'int64'):
        return _whole(value)
    if not isinstance(value, bool if type == 'bool' else str):
        raise TypeError
    return value


def _whole(value):
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _list(value):
    if not isinstance(value, list):
        raise TypeError
    return value
`;
