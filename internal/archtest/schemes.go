package archtest

import (
	"go/ast"
	"go/token"
	"strings"
)

// profileTable says which scheme a vendor's API has.
const profileTable = "alipayai/upstream/profiles.go"

// schemeNames lists, by file and line, where the Go sources below dir name a signing
// scheme. What depends on a scheme is a method of it or of its signer.Kind, so that
// who adds one changes the package signer and the profile table alone.
func schemeNames(dir string) ([]string, error) {
	return places(dir, []string{"signer", profileTable, "internal"}, namingSchemes)
}

// namingSchemes gives the places of a file that name a scheme.
func namingSchemes(file *ast.File) (found []token.Pos) {
	ast.Inspect(file, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok {
			pkg, _ := selector.X.(*ast.Ident)
			rest, named := strings.CutPrefix(selector.Sel.Name, "Name")
			if pkg != nil && pkg.Name == "signer" && named && ast.IsExported(rest) {
				found = append(found, selector.Pos())
			}
		}
		return true
	})
	return found
}
