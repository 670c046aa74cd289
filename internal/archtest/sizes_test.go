package archtest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// Files are about one thing, and a call is followed through few of them.
func TestSizes(t *testing.T) {
	touchSources(t)
	found, err := oversized(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range found {
		t.Errorf("%s: what is a thing of its own goes into a file of its own, or a package", what)
	}
}

// What is too long is seen, and what is just not is none.
func TestSizesAreSeen(t *testing.T) {
	long := func(lines int) string { return "package a\n" + strings.Repeat("\n", lines-1) }
	files := func(n int) map[string]string {
		in := make(map[string]string)
		for i := range n {
			in[fmt.Sprintf("alipayai/%d.go", i)] = long(1)
		}
		return in
	}
	with := func(in map[string]string, name string) map[string]string { in[name] = long(1); return in }
	for name, test := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"400 lines":          {map[string]string{"caddy/a.go": long(400)}, nil},
		"401 lines":          {map[string]string{"caddy/a.go": long(401)}, []string{"caddy/a.go has 401 lines, more than 400"}},
		"a test of 400":      {map[string]string{"caddy/a_test.go": long(400)}, nil},
		"a test of 401":      {map[string]string{"caddy/a_test.go": long(401)}, []string{"caddy/a_test.go has 401 lines, more than 400"}},
		"a long document":    {map[string]string{"caddy/README.md": long(401)}, nil},
		"what others wrote":  {map[string]string{"internal/e2e/node/node_modules/a/a.go": long(401)}, nil},
		"25 files":           {files(25), nil},
		"26 files":           {files(26), []string{"alipayai has 26 files, more than 25"}},
		"a test beside 25":   {with(files(25), "alipayai/a_test.go"), nil},
		"files of a package": {map[string]string{"alipayai/door/a.go": long(1), "caddy/a.go": long(1)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			tree := make(fstest.MapFS)
			for name, text := range test.files {
				tree[name] = &fstest.MapFile{Data: []byte(text)}
			}
			if found, err := oversized(tree); err != nil || !slices.Equal(found, test.want) {
				t.Errorf("found %v (%v), want %v", found, err, test.want)
			}
		})
	}
}
