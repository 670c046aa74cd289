package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the repository's top, seen from this package.
const root = "../.."

func TestImportDirections(t *testing.T) {
	touchSources(t)
	pkgs := list(t)
	if len(pkgs) == 0 {
		t.Fatal("go list names no package: nothing was checked")
	}
	for _, v := range violations(pkgs) {
		t.Error(v)
	}
	for _, s := range superfluous(pkgs) {
		t.Errorf("%s: take it out of the picture", s)
	}
}

func TestTopLevel(t *testing.T) {
	for _, name := range strays(tracked(t)) {
		t.Errorf("%s may not stand at the top of the repository", name)
	}
	for name, must := range topLevel {
		if _, err := os.Stat(filepath.Join(root, name)); must && err != nil {
			t.Errorf("%s is missing at the top of the repository", name)
		}
	}
}

// touchSources reads every folder of the repository. The go command keeps a
// passing result for as long as nothing that the test itself has read changes,
// and it does not see what go list reads.
func touchSources(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && path != root && strings.HasPrefix(entry.Name(), ".") {
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// list describes every package of the module, without its tests.
func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", module+"/...")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return pkgs
		case err != nil:
			t.Fatalf("go list: %v", err)
		}
		pkgs = append(pkgs, p)
	}
}

// tracked names what git keeps at the top of the repository. Where there is no
// git, as in an archive of the sources, all that is there came with it.
func tracked(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-z")
	cmd.Dir = root
	if out, err := cmd.Output(); err == nil && len(out) > 0 {
		files := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
		for i, file := range files {
			files[i], _, _ = strings.Cut(file, "/")
		}
		return files
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names
}

func TestViolations(t *testing.T) {
	tests := map[string]struct {
		pkg  pkg
		want []string
	}{
		"the path of a call": {
			pkg: importing("alipayai", "alipayai/wire", "alipayai/upstream", "limiter", "failover"),
		},
		"everything under one roof": {
			pkg: importing("caddy", "alipayai", "alipayai/wire", "alipayai/sandbox", "signer", "internal/filewatch"),
		},
		"a sub-package of the same room": {
			pkg: importing("internal/e2e", "internal/redistest", "caddy"),
		},
		"a library points back": {
			pkg:  importing("signer", "alipayai"),
			want: []string{module + "/signer must not import " + module + "/alipayai"},
		},
		"libraries know each other": {
			pkg: importing("failover", "limiter", "signer"),
			want: []string{
				module + "/failover must not import " + module + "/limiter",
				module + "/failover must not import " + module + "/signer",
			},
		},
		"a folder of a library that the picture lacks": {
			pkg:  importing("limiter/redis"),
			want: []string{module + "/limiter/redis belongs to no room"},
		},
		"a folder of the domain that the picture lacks": {
			pkg:  importing("alipayai/bills", "alipayai/wire"),
			want: []string{module + "/alipayai/bills belongs to no room"},
		},
		"a dialect more": {
			pkg: importing("alipayai/door/gemini", "alipayai", "alipayai/door", "alipayai/wire/gemini"),
		},
		"the formats look out of their room": {
			pkg:  importing("alipayai/wire", "alipayai"),
			want: []string{module + "/alipayai/wire must not import " + module + "/alipayai"},
		},
		"the simulator shares the signer it judges": {
			pkg:  importing("alipayai/sandbox", "signer"),
			want: []string{module + "/alipayai/sandbox must not import " + module + "/signer"},
		},
		"the domain plays against the simulator": {
			pkg:  importing("alipayai", "alipayai/sandbox"),
			want: []string{module + "/alipayai must not import " + module + "/alipayai/sandbox"},
		},
		"the domain knows the adapter": {
			pkg:  importing("alipayai", "caddy"),
			want: []string{module + "/alipayai must not import " + module + "/caddy"},
		},
		"the domain goes past the way out": {
			pkg: importing("alipayai", "signer", "alipayai/outgoing"),
			want: []string{
				module + "/alipayai must not import " + module + "/alipayai/outgoing",
				module + "/alipayai must not import " + module + "/signer",
			},
		},
		"capabilities know each other": {
			pkg:  importing("alipayai/pack", "alipayai/moderate"),
			want: []string{module + "/alipayai/pack must not import " + module + "/alipayai/moderate"},
		},
		"a door looks at the adapter": {
			pkg:  importing("alipayai/door/openai", "caddy"),
			want: []string{module + "/alipayai/door/openai must not import " + module + "/caddy"},
		},
		"the product leans on its test helpers": {
			pkg:  importing("caddy", "internal/bench"),
			want: []string{module + "/caddy must not import " + module + "/internal/bench"},
		},
		"caddy where it may be": {
			pkg: depending("caddy/cmd/caddy", caddyModule+"/v2/cmd"),
		},
		"caddy in the domain, through another module": {
			pkg:  depending("alipayai", "example.com/x", caddyModule+"/v2/modules/caddyhttp"),
			want: []string{module + "/alipayai must not depend on " + caddyModule + "/v2/modules/caddyhttp"},
		},
		"a neighbour of caddy's with a longer name": {
			pkg: depending("signer", caddyModule+"file/parser"),
		},
		"a folder that the picture lacks": {
			pkg:  importing("proxy"),
			want: []string{module + "/proxy belongs to no room"},
		},
		"an import that the picture lacks": {
			pkg:  importing("caddy", "alipay"),
			want: []string{module + "/caddy must not import " + module + "/alipay"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := violations([]pkg{tt.pkg}); !slices.Equal(got, tt.want) {
				t.Errorf("violations:\n got %q\nwant %q", got, tt.want)
			}
		})
	}
}

// An arrow that no import needs is seen, and a room without a package.
func TestSuperfluous(t *testing.T) {
	pkgs := []pkg{importing("signer"), importing("alipayai/pack", "alipayai/wire"), importing("alipayai/wire/openai"), importing("failover")}
	found := superfluous(pkgs)
	for text, want := range map[string]bool{
		"failover imports nothing of internal/redisstore": true,
		"limiter has no package":                          true,
		"alipayai/pack imports nothing of alipayai/wire":  false,
		"alipayai/wire has no package":                    false,
		"signer has no package":                           false,
		"limiter imports nothing of internal/redisstore":  false, // it is not there
	} {
		if slices.Contains(found, text) != want {
			t.Errorf("%s: %v, want %v", text, !want, want)
		}
	}
}

// importing is a package of this module that imports others of it.
func importing(dir string, imports ...string) pkg {
	p := pkg{ImportPath: module + "/" + dir, Imports: []string{"context"}}
	for _, imported := range imports {
		p.Imports = append(p.Imports, module+"/"+imported)
	}
	p.Deps = p.Imports
	return p
}

// depending is a package of this module that depends on other modules.
func depending(dir string, deps ...string) pkg {
	return pkg{ImportPath: module + "/" + dir, Deps: append([]string{"context"}, deps...)}
}

func TestStrays(t *testing.T) {
	got := strays([]string{".ci", ".gitignore", "signer", "signer", "vendor", "go.mod", "Makefile", "vendor"})
	if want := []string{"Makefile", "vendor"}; !slices.Equal(got, want) {
		t.Errorf("strays: got %q, want %q", got, want)
	}
}
