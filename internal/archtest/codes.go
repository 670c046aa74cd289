package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
)

// codeTable declares the gateway's own failure codes.
const codeTable = "alipayai/failure/codes.go"

// withoutCodes are the folders that do not know package failure, in which the same words are something else: reasons of a
// limit, kinds of alerts, and what vendors send. Tests of what a client sees spell codes as a client does.
var withoutCodes = []string{"signer", "limiter", "failover", "alipayai/failure", "alipayai/wire", "alipayai/sandbox", "alipayai/alert", "internal"}

// codeLiterals lists, by file and line, where the Go sources below dir spell one of the gateway's failure codes, which
// then nothing would find that looks for the code's name.
func codeLiterals(dir string) ([]string, error) {
	table, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, filepath.FromSlash(codeTable)), nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	codes := make(map[string]bool)
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
	return places(dir, withoutCodes, func(file *ast.File) (found []token.Pos) {
		ast.Inspect(file, func(node ast.Node) bool {
			if literal, ok := node.(*ast.BasicLit); ok && codes[literal.Value] {
				found = append(found, literal.Pos())
			}
			return true
		})
		return found
	})
}
