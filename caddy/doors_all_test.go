package alipaycaddy

import (
	"net/http/httptest"
	"os"
	"path"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/door"
)

// unalike are the routes that are no doors, since a request that comes by itself has no good answer there, and the tests of package alipayai that hold them.
var unalike = map[string]string{
	"GET /responses/{id}":             "of a response that is kept: TestKeptResponses",
	"DELETE /responses/{id}":          "of a response that is kept: TestKeptResponses",
	"GET /responses/{id}/input_items": "of a response that is kept: TestKeptResponses",
	"POST /responses/{id}/cancel":     "of a response that is kept: TestKeptResponses",
	"POST /responses/compact":         "at providers that take api responses: TestResponsesAreCountedAndCompactedByTheirProvider",
}

// TestDoorsAreAll holds that each package beside the doors' own, and each route of one, is among doors.
func TestDoorsAreAll(t *testing.T) {
	served := make(map[string]door.Dialect) // by the folder of its package
	entered := make(map[string]bool)        // the routes that a door leads to
	for name, d := range doors {
		r := httptest.NewRequest(d.method, d.path, nil)
		for _, field := range d.fields {
			key, value, _ := strings.Cut(field, ": ")
			r.Header.Set(key, value)
		}
		dialect := dialects.Of(r)
		served[path.Base(reflect.TypeOf(dialect).PkgPath())] = dialect
		found := false
		for _, route := range dialect.Routes() {
			before, after, param := strings.Cut(route.Path, "{id}")
			at := strings.TrimPrefix(r.URL.Path, "/v1")
			fits := at == route.Path || param && len(at) > len(before+after) && strings.HasPrefix(at, before) && strings.HasSuffix(at, after)
			if fits && route.Method == d.method {
				entered[route.Method+" "+route.Path], found = true, true
				break
			}
		}
		if !found {
			t.Errorf("%s leads to no route", name)
		}
	}
	folders, err := os.ReadDir("../alipayai/door")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		if folder.IsDir() && folder.Name() != "all" && served[folder.Name()] == nil {
			t.Errorf("no door is of package %s", folder.Name())
		}
	}
	for _, dialect := range served {
		for _, route := range dialect.Routes() {
			name := route.Method + " " + route.Path
			if route.Path != "/" && !entered[name] && unalike[name] == "" {
				t.Errorf("no door leads to %s", name)
			}
			entered[name] = true
		}
	}
	for name := range unalike {
		if !entered[name] {
			t.Errorf("there is no route %s", name)
		}
	}
}
