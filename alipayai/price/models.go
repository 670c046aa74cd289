package price

import (
	"strings"
	"sync"
	"unicode"
)

// MaxModels is how many models of a provider a ledger names that no configuration does, in one process.
const MaxModels = 100

// maxModelName is the longest name of one, in bytes.
const maxModelName = 128

// Models are the models of a provider that have answered: clients choose what they are called, so that there is a bound.
// The zero value is ready; it is safe for concurrent use.
type Models struct {
	mu    sync.Mutex
	known map[string]bool
}

// Answered takes a model in that has answered, as long as there is room, and reports whether it is in.
func (m *Models) Answered(model string) bool {
	if m == nil || model == "" || len(model) > maxModelName || strings.ContainsFunc(model, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }) {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.known) < MaxModels {
		if m.known == nil {
			m.known = make(map[string]bool)
		}
		m.known[model] = true
	}
	return m.known[model]
}

// Has reports whether a model is in.
func (m *Models) Has(model string) bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known[model]
}
