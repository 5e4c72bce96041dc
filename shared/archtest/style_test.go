package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
)

const (
	fileMax = 400 // lines; STYLE.md §3
	funcMax = 80  // lines, from func to the closing brace
)

// entries are the names at the top of the tree.
var entries = []string{"functions", "shared", "infra", "scripts", "go.mod", "go.sum", "Makefile", "README.md", "LICENSE"}

// topLevel compares the top of the tree with entries. Dot-files are free, and
// bin is what make build leaves.
func topLevel(t *tree) (out []string) {
	for _, name := range t.top {
		if name[0] != '.' && name != "bin" && !slices.Contains(entries, name) {
			out = append(out, name+" is not one of the top-level entries")
		}
	}
	for _, name := range entries {
		if !slices.Contains(t.top, name) {
			out = append(out, name+" is missing")
		}
	}
	return out
}

// noInit finds init functions.
func noInit(t *tree) (out []string) {
	t.eachFunc(func(p *pkg, f *file, fn *ast.FuncDecl) {
		if fn.Recv == nil && fn.Name.Name == "init" && !strings.HasSuffix(p.path, "/internal/hush") { // that one's reason is in its comment
			out = append(out, t.at(fn)+": func init")
		}
	})
	return out
}

// short finds long files and long functions. Kits are exempt, and so is a file
// without functions: it is a table.
func short(t *tree) (out []string) {
	for _, p := range t.sorted() {
		for _, f := range p.code() {
			table := !slices.ContainsFunc(f.ast.Decls, func(d ast.Decl) bool { _, is := d.(*ast.FuncDecl); return is })
			if f.lines > fileMax && !table && !kit(p.path) {
				out = append(out, fmt.Sprintf("%s has %d lines, at most %d", f.path, f.lines, fileMax))
			}
		}
	}
	t.eachFunc(func(p *pkg, f *file, fn *ast.FuncDecl) {
		n := t.fset.Position(fn.End()).Line - t.fset.Position(fn.Pos()).Line + 1
		if n > funcMax && !kit(p.path) {
			out = append(out, fmt.Sprintf("%s: %s has %d lines, at most %d", t.at(fn), fn.Name.Name, n, funcMax))
		}
	})
	return out
}

// introduced finds packages without a comment that opens with their name.
func introduced(t *tree) (out []string) {
	for _, p := range t.sorted() {
		if p.name == "" {
			continue // tests only
		}
		want := "Package " + p.name + " "
		if p.name == "main" {
			want = "Command " + path.Base(p.path) + " "
		}
		if !slices.ContainsFunc(p.code(), func(f *file) bool {
			// The name may end the first line.
			return strings.HasPrefix(strings.ReplaceAll(f.ast.Doc.Text(), "\n", " "), want)
		}) {
			out = append(out, fmt.Sprintf("%s has no comment that opens with %q", p.path, strings.TrimSpace(want)))
		}
	}
	return out
}

// wellKnown are methods whose contract the standard library states.
var wellKnown = []string{
	"Error", "Unwrap", "Is", "As", "String", "GoString", "Format", "LogValue", "MarshalJSON", "MarshalText",
	"UnmarshalJSON", "UnmarshalText", "Read", "Write", "Close", "ServeHTTP", "Len", "Less", "Swap", "RoundTrip",
}

// documented finds exported names without a comment.
func documented(t *tree) (out []string) {
	for _, p := range t.sorted() {
		if p.name == "main" || slices.Contains(strings.Split(p.path, "/"), "internal") {
			continue
		}
		for _, f := range p.code() {
			for _, d := range f.ast.Decls {
				for _, id := range bare(d) {
					out = append(out, fmt.Sprintf("%s: %s has no comment", t.at(id), id.Name))
				}
			}
		}
	}
	return out
}

// bare returns the exported names that a declaration leaves without a comment.
func bare(d ast.Decl) []*ast.Ident {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && (d.Recv == nil ||
			receiver(d).IsExported() && !slices.Contains(wellKnown, d.Name.Name)) {
			return []*ast.Ident{d.Name}
		}
	case *ast.GenDecl:
		if d.Doc != nil && (d.Tok != token.TYPE || len(d.Specs) == 1) {
			return nil // one comment may speak for a group of constants or variables
		}
		var out []*ast.Ident
		for _, s := range d.Specs {
			out = append(out, bareSpec(s)...)
		}
		return out
	}
	return nil
}

func bareSpec(s ast.Spec) []*ast.Ident {
	var names []*ast.Ident
	switch s := s.(type) {
	case *ast.TypeSpec:
		if s.Doc == nil && s.Comment == nil {
			names = []*ast.Ident{s.Name}
		}
	case *ast.ValueSpec:
		if s.Doc == nil && s.Comment == nil {
			names = s.Names
		}
	}
	return slices.DeleteFunc(slices.Clone(names), func(id *ast.Ident) bool { return !id.IsExported() })
}

// receiver names the type that a method belongs to.
func receiver(fn *ast.FuncDecl) *ast.Ident {
	typ := fn.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.IndexListExpr:
			typ = x.X
		case *ast.Ident:
			return x
		default:
			return ast.NewIdent("_")
		}
	}
}

// eachFunc calls f for the functions of all code that is not a test.
func (t *tree) eachFunc(f func(p *pkg, file *file, fn *ast.FuncDecl)) {
	for _, p := range t.sorted() {
		for _, file := range p.code() {
			for _, d := range file.ast.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok {
					f(p, file, fn)
				}
			}
		}
	}
}

// at is a node's place, as file:line.
func (t *tree) at(n ast.Node) string {
	pos := t.fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d", pos.Filename, pos.Line)
}
