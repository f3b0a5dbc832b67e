package archtest

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
)

// StringConstants returns the values of f's constants of one string literal
// whose names match name.
func StringConstants(f *File, name *regexp.Regexp) []string {
	var values []string
	ast.Inspect(f.AST, func(n ast.Node) bool {
		decl, ok := n.(*ast.GenDecl)
		if !ok || decl.Tok != token.CONST {
			return true
		}
		for _, spec := range decl.Specs {
			s, ok := spec.(*ast.ValueSpec)
			if !ok {
				continue
			}
			for i, ident := range s.Names {
				if i < len(s.Values) && name.MatchString(ident.Name) {
					values = appendLiteral(values, s.Values[i])
				}
			}
		}
		return true
	})
	return values
}

// FieldStrings returns the string literals at position field, from 0, of f's
// composite literals of the named type, those of embedded fields included.
// Empty strings are left out.
func FieldStrings(f *File, typeName string, field int) []string {
	var values []string
	ast.Inspect(f.AST, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		if ident, ok := lit.Type.(*ast.Ident); ok && ident.Name == typeName && field < len(lit.Elts) {
			values = appendLiteral(values, lit.Elts[field])
		}
		return true
	})
	return values
}

// Strings returns f's string literals that match pattern.
func Strings(f *File, pattern *regexp.Regexp) []string {
	var values []string
	ast.Inspect(f.AST, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok {
			values = appendLiteral(values, lit)
		}
		return true
	})
	return slices.DeleteFunc(values, func(s string) bool { return !pattern.MatchString(s) })
}

func appendLiteral(values []string, e ast.Expr) []string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return values
	}
	if s, err := strconv.Unquote(lit.Value); err == nil && s != "" {
		values = append(values, s)
	}
	return values
}
