package alipaycaddy

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/internal/race"
)

// oddValues are what takes the place of each value of a configuration.
var oddValues = []string{`null`, `-1`, `1e18`, `""`, `[null]`, `{"": null}`, `{"a": null}`, `{"a": {}}`, `[{}]`, `[""]`}

// TestOddValues puts an odd value into the place of each one of a configuration that has nearly all options, and provisions it: it
// may be refused, but nothing panics, and a refusal leaves nothing in the pool.
func TestOddValues(t *testing.T) {
	g := newSecretRig(t)
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	t.Setenv("TEST_ROUTING_KEY", "0123456789abcdef0123456789ABCDEF")
	g.vars["age"] = must(age.GenerateX25519Identity()).Recipient().String()
	options, err := os.ReadFile("testdata/every_option.txt")
	if err != nil {
		t.Fatal(err)
	}
	global, sites, _ := strings.Cut(string(options), goldenLine)
	var whole any
	if err := json.Unmarshal(g.config(global, sites), &whole); err != nil {
		t.Fatal(err)
	}
	apps := whole.(map[string]any)["apps"].(map[string]any)
	provision := func() (says string) {
		defer func() {
			if p := recover(); p != nil {
				says = fmt.Sprintf("panic: %v", p)
			}
		}()
		var config *caddy.Config
		if err := json.Unmarshal(must(json.Marshal(map[string]any{"apps": apps})), &config); err != nil {
			return err.Error()
		}
		config.Admin = &caddy.AdminConfig{Disabled: true}
		config.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{
			"default": {BaseLog: caddy.BaseLog{WriterRaw: json.RawMessage(`{"output":"discard"}`)}},
		}}
		if err := caddy.Validate(config); err != nil {
			return err.Error()
		}
		return ""
	}
	if says := provision(); says != "" {
		t.Fatalf("as it is: %s", says)
	}
	places, tried := 0, 0
	var walk func(path string, value any, set func(any))
	walk = func(path string, value any, set func(any)) {
		own := strings.Contains(path, "alipayai") // what is around the plugin's modules is Caddy's
		places++
		for i, odd := range oddValues {
			// A null everywhere, and one of the others in turn: all of them everywhere take minutes. Under the race detector
			// these are at one of three places.
			others := len(oddValues) - 1
			if !own || i > 0 && (i != 1+places%others || race.Enabled && places/others%3 > 0) {
				continue
			}
			var v any
			if err := json.Unmarshal([]byte(odd), &v); err != nil {
				t.Fatal(err)
			}
			set(v)
			tried++
			if says := provision(); strings.HasPrefix(says, "panic: ") {
				t.Errorf("%s = %s: %s", path, odd, says)
			}
			if left := references(); len(left) != 0 {
				t.Fatalf("%s = %s: left in the pool: %v", path, odd, left)
			}
		}
		set(value)
		switch value := value.(type) {
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(value)) {
				if handler, _ := value["handler"].(string); handler != "" {
					path = handler
				}
				walk(path+"."+key, value[key], func(v any) { value[key] = v })
			}
		case []any:
			for i := range value {
				walk(path+"."+strconv.Itoa(i), value[i], func(v any) { value[i] = v })
			}
		}
	}
	walk("apps", apps, func(any) {})
	least := 500
	if race.Enabled {
		least = 330
	}
	if tried < least {
		t.Errorf("%d values were tried, want %d", tried, least)
	}
}
