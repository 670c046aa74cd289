package archtest

import (
	"go/ast"
	"go/token"
	"strings"
)

// profileTable says which scheme a vendor's API has.
const profileTable = "alipayai/upstream/profiles.go"

// schemeNames lists, by file and line, where the Go sources below dir name a signing
// scheme, or ask whether they have a certain one. What depends on a scheme is a method of it or of its signer.Kind, so that
// who adds one changes the package signer and the profile table alone.
func schemeNames(dir string) ([]string, error) {
	return places(dir, []string{"signer", profileTable, "internal"}, namingSchemes)
}

// namingSchemes gives the places of a file that name a scheme.
func namingSchemes(file *ast.File) (found []token.Pos) {
	ast.Inspect(file, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.SelectorExpr:
			if rest, named := strings.CutPrefix(ofSigner(n), "Name"); named && ast.IsExported(rest) {
				found = append(found, n.Pos())
			}
		case *ast.TypeAssertExpr:
			found = append(found, signerTypes(n.Type)...)
		case *ast.CaseClause: // of a type switch, if there is one of these among its types
			found = append(found, signerTypes(n.List...)...)
		}
		return true
	})
	return found
}

// signerTypes gives the places of pointers to types of package signer, as which a scheme is made.
func signerTypes(types ...ast.Expr) (found []token.Pos) {
	for _, t := range types {
		if pointer, ok := t.(*ast.StarExpr); ok && ofSigner(pointer.X) != "" {
			found = append(found, t.Pos())
		}
	}
	return found
}

// ofSigner gives what an expression names of package signer.
func ofSigner(e ast.Expr) string {
	if selector, ok := e.(*ast.SelectorExpr); ok {
		if pkg, ok := selector.X.(*ast.Ident); ok && pkg.Name == "signer" {
			return selector.Sel.Name
		}
	}
	return ""
}
