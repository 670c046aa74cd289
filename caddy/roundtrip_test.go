package alipaycaddy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// TestJSONRoundTrip reads what each Caddyfile of the golden files adapts to into the modules, as Caddy does, and writes it
// again: nothing is lost, and nothing is added.
func TestJSONRoundTrip(t *testing.T) {
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	read := make(map[caddy.ModuleID]bool)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, adapted, _ := strings.Cut(string(content), goldenLine)
		var config any
		if err := json.Unmarshal([]byte(adapted), &config); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		eachOwnModule(config, func(id caddy.ModuleID, options any) {
			read[id] = true
			info, err := caddy.GetModule(string(id))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			module := info.New()
			if err := caddy.StrictUnmarshalJSON(must(json.Marshal(options)), module); err != nil {
				t.Errorf("%s: %s: %v", file, id, err)
				return
			}
			var again any
			if err := json.Unmarshal(must(json.Marshal(module)), &again); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(again, options) {
				t.Errorf("%s: %s is read from\n%s\nand written as\n%s", file, id, must(json.Marshal(options)), must(json.Marshal(again)))
			}
		})
	}
	for _, module := range modulesOfOptions() {
		if id := module.(caddy.Module).CaddyModule().ID; !read[id] {
			t.Errorf("no golden file has a module %s", id)
		}
	}
}

// eachOwnModule gives the options of the plugin's modules that stand in a configuration's JSON, wherever.
func eachOwnModule(config any, do func(id caddy.ModuleID, options any)) {
	switch config := config.(type) {
	case []any:
		for _, each := range config {
			eachOwnModule(each, do)
		}
	case map[string]any:
		for key, name := range map[string]string{"handler": "http.handlers.", "protocol": "http.reverse_proxy.transport."} {
			if module, _ := config[key].(string); strings.HasPrefix(module, "alipayai") && module != "alipayai_auth" {
				options := make(map[string]any)
				for option, value := range config {
					if option != key {
						options[option] = value
					}
				}
				do(caddy.ModuleID(name+module), options)
			}
		}
		for key, value := range config {
			eachOwnModule(value, do)
			switch key {
			case "alipayai_keys":
				do("http.authentication.providers.alipayai_keys", value)
			case "apps":
				if app := value.(map[string]any)["alipayai"]; app != nil {
					do("alipayai", app)
				}
			case "match":
				sets, _ := value.([]any) // what matches responses has an object there
				for _, set := range sets {
					if matcher := set.(map[string]any)["alipayai"]; matcher != nil {
						do("http.matchers.alipayai", matcher)
					}
				}
			}
		}
	}
}
