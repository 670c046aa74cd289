package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
)

// codeTables declare the gateway's own failure codes, and those of requests that cannot be read.
var codeTables = []string{"alipayai/failure/codes.go", "alipayai/wire/requesterror.go"}

// codeName is what constants of codes are called.
var codeName = regexp.MustCompile(`^[Cc]ode[A-Z]`)

// withoutCodes are the folders that do not know package failure, in which the same words are something else: reasons of a
// limit, kinds of alerts, and what vendors send. Tests of what a client sees spell codes as a client does.
var withoutCodes = []string{"signer", "limiter", "failover", "alipayai/failure", "alipayai/wire", "alipayai/sandbox", "alipayai/alert", "internal"}

// codeLiterals lists, by file and line, where the Go sources below dir spell one of the gateway's failure codes, which
// then nothing would find that looks for the code's name, or declare one beside the tables.
func codeLiterals(dir string) ([]string, error) {
	codes := make(map[string]bool)
	for _, name := range codeTables {
		table, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, filepath.FromSlash(name)), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, declared := range table.Decls {
			constants, ok := declared.(*ast.GenDecl)
			if !ok || constants.Tok != token.CONST {
				continue
			}
			for _, spec := range constants.Specs {
				for i, name := range spec.(*ast.ValueSpec).Names {
					if literal, ok := spec.(*ast.ValueSpec).Values[i].(*ast.BasicLit); ok && strings.HasPrefix(name.Name, "Code") {
						codes[literal.Value] = true
					}
				}
			}
		}
	}
	return places(dir, withoutCodes, func(file *ast.File) (found []token.Pos) {
		ast.Inspect(file, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.BasicLit:
				if codes[node.Value] {
					found = append(found, node.Pos())
				}
			case *ast.ValueSpec: // a code of its own, which no metric would have
				if len(node.Values) == 1 && codeName.MatchString(node.Names[0].Name) {
					if literal, ok := node.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING && !codes[literal.Value] {
						found = append(found, node.Pos())
					}
				}
			}
			return true
		})
		return found
	})
}
