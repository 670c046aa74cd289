package alipaycaddy

import (
	"reflect"
	"slices"
	"testing"
)

// TestAcquiredIsGivenBackOnce gives back what was acquired last first, when none of those that may use it is in flight any
// more: what comes from one to another at its end is waited for there.
func TestAcquiredIsGivenBackOnce(t *testing.T) {
	var held acquired
	var given []string
	for _, name := range []string{"store", "ledger", "budget"} {
		held.add(func() { given = append(given, name) })
	}
	var before, handler inFlight
	before.begin()
	held.releaseAfter(&before, &handler)
	handler.begin() // which came on
	before.end()
	if len(given) != 0 {
		t.Errorf("%v is given back while a call uses it", given)
	}
	handler.end()
	held.releaseAfter(&before, &handler)
	if want := []string{"budget", "ledger", "store"}; !slices.Equal(given, want) {
		t.Errorf("given back: %v, want %v", given, want)
	}
}

// TestPartsHaveNoOptions looks for options that are not the app's own: encoding/json would take a field of a part that is exported
// for one of the configuration, and cannot set it.
func TestPartsHaveNoOptions(t *testing.T) {
	app := reflect.TypeFor[App]()
	parts := 0
	for _, field := range reflect.VisibleFields(app) {
		switch {
		case field.Anonymous:
			parts++
		case field.IsExported() && (len(field.Index) > 1 || field.Tag.Get("json") == ""):
			t.Errorf("%s is exported, and no option of the app's own", app.FieldByIndex(field.Index).Name)
		}
	}
	if parts == 0 {
		t.Error("the app has no parts")
	}
	for method := range reflect.TypeFor[*App]().Methods() {
		if !slices.Contains([]string{"CaddyModule", "Cleanup", "Provision", "Start", "Stop", "UnmarshalCaddyfile"}, method.Name) {
			t.Errorf("the app has the method %s of a part, by which Caddy may take it for something else", method.Name)
		}
	}
}
