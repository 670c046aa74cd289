package alipaycaddy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// TestFieldsAreDocumented holds that Caddy's module documentation, which is made
// of these comments, says of each option what happens without it.
func TestFieldsAreDocumented(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	fields := 0
	files := token.NewFileSet()
	for _, entry := range entries {
		if name := entry.Name(); !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, entry.Name(), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			decl, ok := n.(*ast.GenDecl)
			if !ok {
				return true
			}
			for _, spec := range decl.Specs {
				declared, ok := spec.(*ast.TypeSpec)
				if !ok {
					continue
				}
				if s, ok := declared.Type.(*ast.StructType); ok {
					fields += checkFields(t, files, declared.Name.Name, s)
				}
			}
			return true
		})
	}
	if fields < 40 {
		t.Errorf("only %d options were found", fields)
	}
}

// checkFields checks the JSON fields of one struct and counts them.
func checkFields(t *testing.T, files *token.FileSet, name string, s *ast.StructType) (n int) {
	for _, field := range s.Fields.List {
		if field.Tag == nil || len(field.Names) != 1 || !field.Names[0].IsExported() {
			continue
		}
		tag, err := strconv.Unquote(field.Tag.Value)
		if err != nil {
			t.Fatal(err)
		}
		option, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
		if option == "" || option == "-" {
			continue
		}
		n++
		doc := field.Doc.Text()
		if !strings.Contains(doc, "Default: ") && !strings.Contains(doc, "Required") {
			t.Errorf("%s: %s.%s (%s) says neither Default nor Required: %q",
				files.Position(field.Pos()), name, field.Names[0].Name, option, doc)
		}
	}
	return n
}
