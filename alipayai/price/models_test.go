package price

import (
	"fmt"
	"strings"
	"testing"
)

// However many names clients make up, a ledger has so many.
func TestModelsAreBounded(t *testing.T) {
	var m Models
	for name, model := range map[string]string{
		"none": "", "two lines": "a\nb", "spaces": "a b", "invisible": "a\u200bb", "too long": strings.Repeat("m", maxModelName+1),
	} {
		if m.Answered(model) || m.Has(model) {
			t.Errorf("%s: %q is a name", name, model)
		}
	}
	in := 0
	for i := range 10 * MaxModels {
		if m.Answered(fmt.Sprint("model-", i)) {
			in++
		}
	}
	if in != MaxModels || !m.Answered("model-0") || !m.Has("model-99") || m.Has("model-100") {
		t.Errorf("%d models are in, want %d", in, MaxModels)
	}
	if none := (*Models)(nil); none.Answered("model-0") || none.Has("model-0") {
		t.Error("there is room in none")
	}
}
