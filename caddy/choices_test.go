package alipaycaddy

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
)

// TestChoicesAreNamed holds that the documentation of an option that takes one of a set of names has each of them, and no other: a
// person writes it, and the set grows in another package.
func TestChoicesAreNamed(t *testing.T) {
	// wanted are the names that the simulator's own refusal of a wrong one offers.
	wanted := func(config sandbox.Config) (names []string) {
		_, err := sandbox.New(config)
		if err == nil {
			t.Fatalf("%+v is taken", config)
		}
		_, want, _ := strings.Cut(err.Error(), ": want ")
		for _, quoted := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(want, -1) {
			names = append(names, quoted[1])
		}
		return names
	}
	for option, names := range map[string][]string{
		"Provider.profile":       upstream.ProfileNames(),
		"Provider.dialect":       openai.DialectNames(),
		"SandboxHandler.format":  wanted(sandbox.Config{Format: "none"}),
		"SandboxHandler.dialect": wanted(sandbox.Config{Dialect: "none"}),
	} {
		t.Run(option, func(t *testing.T) {
			if len(names) < 3 {
				t.Fatalf("there are only %v", names)
			}
			owner, field, _ := strings.Cut(option, ".")
			named := make(map[string]bool)
			for _, quoted := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(fieldDoc(t, owner, field), -1) {
				named[quoted[1]] = true
				if !slices.Contains(names, quoted[1]) {
					t.Errorf("it names %s, which there is not", quoted[1])
				}
			}
			for _, name := range names {
				if !named[name] {
					t.Errorf("it does not name %s", name)
				}
			}
		})
	}
}
