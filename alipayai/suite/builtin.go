package suite

import (
	"embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed builtin/*.yaml
var builtin embed.FS

// Builtins names the suites that come with the package.
func Builtins() (names []string) {
	files, _ := builtin.ReadDir("builtin") // it is there
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), ".yaml"))
	}
	return names
}

// Builtin gives the file of a suite that comes with the package.
func Builtin(name string) ([]byte, error) {
	if !slices.Contains(Builtins(), name) {
		return nil, fmt.Errorf("no suite %q is built in; use %s", name, strings.Join(Builtins(), ", "))
	}
	return builtin.ReadFile("builtin/" + name + ".yaml")
}
