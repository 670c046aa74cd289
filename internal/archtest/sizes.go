package archtest

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

const (
	// maxLines is how long a file may be, tests among them: it is read from its top to its end. Most have 100 to 300 lines.
	maxLines = 400

	// domain is the folder through whose files a call is followed, and maxDomainFiles how many these may be.
	domain         = "alipayai"
	maxDomainFiles = 25
)

// oversized lists what of the Go sources in tree is too long to be read: files, and the domain's number of them, without its tests.
func oversized(tree fs.FS) (found []string, err error) {
	inDomain := 0
	err = fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || name != "." && strings.HasPrefix(entry.Name(), ".")):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		source, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		if n := bytes.Count(source, []byte("\n")); n > maxLines {
			found = append(found, fmt.Sprintf("%s has %d lines, more than %d", name, n, maxLines))
		}
		if path.Dir(name) == domain && !strings.HasSuffix(name, "_test.go") {
			inDomain++
		}
		return nil
	})
	if inDomain > maxDomainFiles {
		found = append(found, fmt.Sprintf("%s has %d files, more than %d", domain, inDomain, maxDomainFiles))
	}
	slices.Sort(found)
	return found, err
}
