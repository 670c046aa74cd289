package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the repository's top, seen from this package.
const root = "../.."

// TestLinks checks every relative link and anchor in every Markdown file.
func TestLinks(t *testing.T) {
	pages := make(map[string]page)
	links := 0
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules"):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(name) != ".md":
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		from, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		pages[filepath.ToSlash(from)] = parse(string(text))
		links += len(pages[filepath.ToSlash(from)].links)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, must := range []string{
		"README.md", "xcaddy.md", "caddy/README.md", "caddy/OPERATIONS.md", "alipayai/README.md", "alipayai/sandbox/README.md",
		"limiter/README.md", "failover/README.md", "internal/README.md",
	} {
		if _, ok := pages[must]; !ok {
			t.Errorf("%s is missing", must)
		}
	}
	if links < 80 {
		t.Errorf("only %d links were found", links)
	}
	exists := func(name string) bool {
		_, err := os.Stat(filepath.Join(root, filepath.FromSlash(name)))
		return err == nil
	}
	for _, fault := range broken(pages, exists) {
		t.Error(fault)
	}
}

// TestFrontPage holds that the first page stays one that can be read at once.
func TestFrontPage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	const most = 300
	if n := strings.Count(string(text), "\n"); n > most {
		t.Errorf("README.md has %d lines, want at most %d: what describes one part belongs beside its code", n, most)
	}
}

func TestBroken(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string
	}{
		"nothing":            {text: "plain text, [brackets] and (round ones)"},
		"a file":             {text: "[a](b.md) and [code](sub/x.go)"},
		"a folder":           {text: "[a](sub)"},
		"elsewhere":          {text: "[a](https://example.com/x#y) <mailto:x@example.com> [m](mailto:x@example.com)"},
		"its own anchor":     {text: "# One `two`, three\n[a](#one-two-three)"},
		"a second heading":   {text: "# One\n# One\n[a](#one) [b](#one-1)"},
		"another's anchor":   {text: "[a](b.md#in-b)"},
		"a heading's link":   {text: "# See [b](b.md)\n[a](#see-b)"},
		"a named anchor":     {text: "<a id=\"here\"></a>\n[a](#here)"},
		"code":               {text: "`[a](none.md)`\n```\n[a](none.md)\n# Not a heading\n```\n~~~~\n```\n[a](none.md)\n~~~~"},
		"code in its text":   {text: "[`x` of `y`](none.md)", want: []string{"a.md:1: none.md: there is no none.md"}},
		"no file":            {text: "\n[a](none.md)", want: []string{"a.md:2: none.md: there is no none.md"}},
		"no picture":         {text: "![a](none.png \"title\")", want: []string{"a.md:1: none.png: there is no none.png"}},
		"no reference":       {text: "[a]: none.md", want: []string{"a.md:1: none.md: there is no none.md"}},
		"no anchor":          {text: "[a](#none)", want: []string{"a.md:1: #none: there is no such heading in a.md"}},
		"a heading in code":  {text: "```\n# One\n```\n[a](#one)", want: []string{"a.md:4: #one: there is no such heading in a.md"}},
		"no anchor there":    {text: "[a](b.md#none)", want: []string{"a.md:1: b.md#none: there is no such heading in b.md"}},
		"an anchor of code":  {text: "[a](sub/x.go#L1)", want: []string{"a.md:1: sub/x.go#L1: only Markdown files have anchors"}},
		"from the top":       {text: "[a](/b.md)", want: []string{"a.md:1: /b.md: write it relative to this file"}},
		"out of the folders": {text: "[a](../b.md)", want: []string{"a.md:1: ../b.md: there is no ../b.md"}},
		"two in a line":      {text: "[a](none.md), [b](b.md), [c](nil.md)", want: []string{"a.md:1: nil.md: there is no nil.md", "a.md:1: none.md: there is no none.md"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pages := map[string]page{"a.md": parse(test.text), "b.md": parse("# In b")}
			got := broken(pages, func(file string) bool {
				return slices.Contains([]string{"a.md", "b.md", "sub", "sub/x.go"}, file)
			})
			slices.Sort(got)
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestFilesOfDocs holds that each file that a package's doc.go names stands beside it, and that those through which a
// call is followed name all of theirs.
func TestFilesOfDocs(t *testing.T) {
	named := 0
	file := regexp.MustCompile(`\b\w+\.go\b`)
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules"):
			return fs.SkipDir
		case entry.IsDir() || entry.Name() != "doc.go":
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, beside := range file.FindAllString(string(text), -1) {
			named++
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), beside)); err != nil {
				t.Errorf("%s names %s, which is not there", name, beside)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if named < 10 {
		t.Errorf("only %d files were named", named)
	}
	for _, whole := range []string{"alipayai", "alipayai/upstream", "alipayai/failure"} {
		dir := filepath.Join(root, filepath.FromSlash(whole))
		text, err := os.ReadFile(filepath.Join(dir, "doc.go"))
		if err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			name := filepath.Base(path)
			if !strings.HasSuffix(name, "_test.go") && name != "doc.go" && !slices.Contains(file.FindAllString(string(text), -1), name) {
				t.Errorf("%s/doc.go does not say where %s belongs", whole, name)
			}
		}
	}
}

// TestFoldersOfInternal holds that internal/README.md says what each folder beside it is for.
func TestFoldersOfInternal(t *testing.T) {
	dir := filepath.Join(root, "internal")
	text, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if name := entry.Name(); entry.IsDir() && !strings.Contains(string(text), "["+name+"]("+name+")") {
			t.Errorf("internal/README.md does not link to %s", name)
		}
	}
}
