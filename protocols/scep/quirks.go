package scep

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"
)

// Quirks is a quirk set: what one vendor's clients need that others do not.
type Quirks struct {
	About        string   `yaml:"about"`
	Legacy       []string `yaml:"legacy"`       // of LegacyAlgorithms
	Capabilities []string `yaml:"capabilities"` // lines of GetCACaps in place of the usual ones
	Days         int      `yaml:"renews_before"`
}

// RenewsBefore is how long before the end of a certificate its holder renews it,
// whatever its lifetime is; zero where that is not fixed.
func (q Quirks) RenewsBefore() time.Duration { return time.Duration(q.Days) * 24 * time.Hour }

//go:embed quirks.yaml
var quirksText []byte

var quirkSets = sync.OnceValues(func() (sets map[string]Quirks, err error) {
	return sets, yaml.Unmarshal(quirksText, &sets)
})

// QuirkSets lists the names of the quirk sets.
func QuirkSets() []string {
	sets, err := quirkSets()
	if err != nil {
		panic(err) // an embedded constant
	}
	return slices.Sorted(maps.Keys(sets))
}

// QuirkSet gives a quirk set; the one without a name has nothing in it.
func QuirkSet(name string) (Quirks, error) {
	if name == "" {
		return Quirks{}, nil
	}
	sets, err := quirkSets()
	if err != nil {
		return Quirks{}, err
	}
	q, ok := sets[name]
	if !ok {
		return Quirks{}, fmt.Errorf("there is no quirk set %q", name)
	}
	return q, nil
}
