/** What all generated files of a package share: `values.go`. */
export const GO_VALUES = `import (
	"encoding/json"
	"fmt"
	"strings"
)

// Values are the keys of one file, as malabar agent writes them.
type Values map[string]json.RawMessage

// reader reads the values of a file and notes everything that is wrong with them.
type reader struct {
	file   string
	values Values
	faults []string
}

// always reads a key that is there, or has a default.
func (r *reader) always(key, fallback string, to interface{}) {
	raw, ok := r.values[key]
	if !ok && fallback == "" {
		r.faults = append(r.faults, fmt.Sprintf("key '%s' is missing", key))
		return
	}
	if !ok {
		raw = json.RawMessage(fallback)
	}
	r.decode(key, raw, to)
}

// optional reads a key that need not be there.
func (r *reader) optional(key string, to interface{}) {
	if raw, ok := r.values[key]; ok {
		r.decode(key, raw, to)
	}
}

func (r *reader) decode(key string, raw json.RawMessage, to interface{}) {
	if err := json.Unmarshal(raw, to); err != nil {
		r.faults = append(r.faults, fmt.Sprintf("key '%s': %v", key, err))
	}
}

func (r *reader) err() error {
	if len(r.faults) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %s", r.file, strings.Join(r.faults, "; "))
}
`;
