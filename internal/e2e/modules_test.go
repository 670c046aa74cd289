package e2e

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestModuleGraph: the dependencies of the SDKs stay in this module. A build of
// Caddy with the plugin contains none of them.
func TestModuleGraph(t *testing.T) {
	sdk := []string{
		"github.com/openai/openai-go/v3", "github.com/anthropics/anthropic-sdk-go", "github.com/tidwall/sjson",
		"github.com/Shopify/toxiproxy/v2",
	}
	plugin := modules(t, "../..")
	if !slices.Contains(plugin, "github.com/caddyserver/caddy/v2") {
		t.Fatal("../.. is not the plugin's module")
	}
	own := modules(t, ".")
	for _, module := range sdk {
		if !slices.Contains(own, module) {
			t.Errorf("%s is not in this module's graph: the test looks for the wrong thing", module)
		}
		if slices.Contains(plugin, module) {
			t.Errorf("%s is in the plugin's module graph", module)
		}
	}
	for _, module := range plugin {
		if strings.Contains(module, "openai") || strings.Contains(module, "anthropic") {
			t.Errorf("%s is in the plugin's module graph", module)
		}
	}
}

// modules lists the module graph of the module in dir.
func modules(t *testing.T, dir string) []string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Path}}", "all")
	list.Dir = dir
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list in %s: %v", dir, err)
	}
	return strings.Fields(string(out))
}
