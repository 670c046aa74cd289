package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// outgoingRoom is the one room that hands requests to a transport. A request
// that leaves by another way could be repeated by net/http.
const outgoingRoom = "alipayai/outgoing"

// sends are net/http's means to send a request, besides a transport's RoundTrip.
var sends = []string{"Client", "Get", "Head", "Post", "PostForm", "DefaultClient", "DefaultTransport", "ClientConn"}

// waysOut lists, by file and line, what in the Go sources below dir sends
// requests by itself. Tests and internal/, which is no part of the product, may.
// What libraries send is not seen: shoutrrr's notifications, which may come twice.
func waysOut(dir string) ([]string, error) {
	return places(dir, []string{outgoingRoom, "internal"}, sending)
}

// places lists, by file and line, what find gives of the Go sources below dir. It
// leaves out tests, and the folders and files that are named, relative to dir.
func places(dir string, without []string, find func(*ast.File) []token.Pos) ([]string, error) {
	var found []string
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		out := slices.Contains(without, name)
		switch {
		case entry.IsDir() && (out || name != "." && strings.HasPrefix(entry.Name(), ".")):
			return filepath.SkipDir
		case entry.IsDir() || out || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, at := range find(file) {
			found = append(found, fmt.Sprintf("%s:%d", name, files.Position(at).Line))
		}
		return nil
	})
	return found, err
}

// sending gives the places of a file that send a request.
func sending(file *ast.File) (found []token.Pos) {
	ast.Inspect(file, func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		pkg, _ := selector.X.(*ast.Ident)
		switch name := selector.Sel.Name; {
		case pkg != nil && pkg.Name == "http" && slices.Contains(sends, name),
			pkg != nil && pkg.Name == "httputil" && name == "ReverseProxy",
			name == "RoundTrip" && (pkg == nil || pkg.Name != "http"):
			found = append(found, selector.Pos())
		}
		return true
	})
	return found
}
