package archtest

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// tree is the module's source, parsed.
type tree struct {
	module string
	fset   *token.FileSet
	pkgs   map[string]*pkg // by folder, relative to the module
	top    []string        // names at the top of the tree
}

// pkg is one folder of Go files.
type pkg struct {
	path  string // relative to the module, with slashes
	name  string
	files []*file
}

// file is one Go file.
type file struct {
	path  string
	test  bool
	lines int
	ast   *ast.File
}

// load parses every Go file of a module, except nested modules, testdata and
// folders that the go command skips.
func load(src fs.FS) (*tree, error) {
	t := &tree{fset: token.NewFileSet(), pkgs: map[string]*pkg{}}
	mod, err := fs.ReadFile(src, "go.mod")
	if err != nil {
		return nil, err
	}
	first, _, _ := strings.Cut(string(mod), "\n")
	t.module = strings.TrimSpace(strings.TrimPrefix(first, "module"))
	entries, err := fs.ReadDir(src, ".")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		t.top = append(t.top, e.Name())
	}
	return t, fs.WalkDir(src, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != "." && skipped(src, p):
			return fs.SkipDir
		case d.IsDir() || path.Ext(p) != ".go":
			return nil
		}
		return t.parse(src, p)
	})
}

func skipped(src fs.FS, dir string) bool {
	base := path.Base(dir)
	if base == "testdata" || base == "vendor" || base[0] == '.' || base[0] == '_' {
		return true
	}
	_, err := fs.Stat(src, path.Join(dir, "go.mod"))
	return err == nil
}

func (t *tree) parse(src fs.FS, name string) error {
	text, err := fs.ReadFile(src, name)
	if err != nil {
		return err
	}
	f, err := parser.ParseFile(t.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	dir := path.Dir(name)
	p := t.pkgs[dir]
	if p == nil {
		p = &pkg{path: dir}
		t.pkgs[dir] = p
	}
	test := strings.HasSuffix(name, "_test.go")
	if !test {
		p.name = f.Name.Name
	}
	p.files = append(p.files, &file{path: name, test: test, lines: bytes.Count(text, []byte("\n")), ast: f})
	return nil
}

// sorted returns the packages in the order of their paths.
func (t *tree) sorted() []*pkg {
	var out []*pkg
	for _, p := range t.pkgs {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *pkg) int { return strings.Compare(a.path, b.path) })
	return out
}

// code returns the files that are not tests.
func (p *pkg) code() []*file {
	return slices.DeleteFunc(slices.Clone(p.files), func(f *file) bool { return f.test })
}

// imports returns the import paths of a file.
func (f *file) imports() []string {
	var out []string
	for _, s := range f.ast.Imports {
		if v, err := strconv.Unquote(s.Path.Value); err == nil {
			out = append(out, v)
		}
	}
	return out
}

// own returns an import path relative to the module, if it lies in it.
func (t *tree) own(imp string) (string, bool) {
	if imp == t.module {
		return ".", true
	}
	return strings.CutPrefix(imp, t.module+"/")
}

// foreign reports whether an import is neither ours nor the standard library's,
// whose paths have no dot in their first element.
func (t *tree) foreign(imp string) bool {
	first, _, _ := strings.Cut(imp, "/")
	_, own := t.own(imp)
	return !own && strings.Contains(first, ".")
}

// within reports whether a path is dir or lies under it.
func within(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// kit reports whether a package is a vendor's twin or a conformance kit: by
// convention its folder's name ends in "test", as net/http/httptest's does.
func kit(p string) bool {
	base := path.Base(p)
	return strings.HasSuffix(base, "test") && base != "archtest"
}
