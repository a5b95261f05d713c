package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// Every code of a fault has a hint: no error ends without one.
func TestEveryCodeHasAHint(t *testing.T) {
	t.Parallel()
	f, err := parser.ParseFile(token.NewFileSet(), "../fault/fault.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}

	codes := map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if ident, is := v0(v, ok); is && ident.Name == "Code" {
			codes[v.Names[0].Name] = true
		}

		return true
	})
	if len(codes) != len(hints) {
		t.Errorf("%d codes, %d hints", len(codes), len(hints))
	}

	for code, hint := range hints {
		if !codes[string(code)] || strings.TrimSpace(hint) == "" {
			t.Errorf("%s: %q", code, hint)
		}
	}
}

// v0 is the type of a constant, if n is one.
func v0(v *ast.ValueSpec, ok bool) (*ast.Ident, bool) {
	if !ok {
		return nil, false
	}

	ident, is := v.Type.(*ast.Ident)
	return ident, is
}
