package archtest

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// layer is one storey of the house.
type layer struct {
	number int
	name   string
	at     []string // path patterns, as path.Match reads them; the first layer that matches a package or a folder above it is its own
	down   []int    // layers that its packages may import
}

// layers is DESIGN.md §5. Kits, and the folders that hold no code of their own,
// are not in it.
var layers = []layer{
	{0, "vocabulary", []string{"shared/record", "shared/fault", "shared/span"}, nil},
	{2, "drivers", []string{"shared/warehouse/*", "shared/stage/*", "shared/chain/*"}, []int{0, 1}},
	{1, "mechanisms and ports", []string{"shared/env", "shared/rest", "shared/part", "shared/job", "shared/files",
		"shared/stage", "shared/warehouse", "shared/gate", "shared/chain"}, []int{0}},
	{3, "engines", []string{"shared/extract", "shared/load", "shared/reverse", "shared/follow"}, []int{0, 1}},
	{4, "functions", []string{"functions/*"}, []int{0, 1, 3}},
	{5, "the list of functions", []string{"functions"}, []int{0, 1, 3, 4}},
	{6, "platforms", []string{"shared/platform", "shared/platform/*"}, []int{0, 1, 2, 3, 4, 5}},
	{7, "programs", []string{"scripts", "scripts/*"}, []int{0, 1, 2, 3, 4, 5, 6, 7}},
}

// beside lists the imports between packages of one layer. The list is short on
// purpose: a new line is a design decision.
var beside = map[string][]string{
	"shared/stage":          {"shared/gate"},
	"shared/warehouse":      {"shared/gate"},
	"shared/rest":           {"shared/env"},
	"shared/job":            {"shared/rest"},
	"shared/files":          {"shared/rest"},
	"shared/follow":         {"shared/reverse", "shared/load"}, // a model is judged and announced as what is loaded is
	"shared/platform/gcp":   {"shared/platform"},
	"shared/platform/aws":   {"shared/platform"},
	"shared/platform/local": {"shared/platform"},
}

// sdks are the modules that speak to one cloud or one warehouse.
var sdks = []string{
	"cloud.google.com/go", "google.golang.org/api", "github.com/GoogleCloudPlatform", "github.com/aws",
	"github.com/Azure", "github.com/oracle/oci-go-sdk", "github.com/snowflakedb", "github.com/duckdb",
	"gocloud.dev",
}

// spared lists the SDKs that a package outside the drivers and platforms may
// import: the vendor's own, and the core of gocloud.dev/blob, which links no cloud.
var spared = map[string][]string{
	"shared/stage":       {"gocloud.dev/blob", "gocloud.dev/gcerrors"},
	"functions/ociusage": {"github.com/oracle/oci-go-sdk"},
}

// layerOf finds the layer of a package; ok is false for kits and for archtest.
func layerOf(p string) (layer, bool) {
	if kit(p) || within(p, "shared/archtest") {
		return layer{}, false
	}
	for dir := p; dir != "."; dir = path.Dir(dir) {
		for _, l := range layers {
			if slices.ContainsFunc(l.at, func(at string) bool { ok, _ := path.Match(at, dir); return ok }) {
				return l, true
			}
		}
	}
	return layer{}, false
}

// room is the folder that stands for a package in its layer: a package deeper
// down shares its parent's room, as functions/clari/internal/x does.
func room(p string) string {
	l, _ := layerOf(p)
	for dir := p; dir != "."; dir = path.Dir(dir) {
		if slices.ContainsFunc(l.at, func(at string) bool { ok, _ := path.Match(at, dir); return ok }) {
			return dir
		}
	}
	return p
}

// eachImport calls f for the imports of all code that is not a test.
func (t *tree) eachImport(f func(p *pkg, file *file, imp string)) {
	for _, p := range t.sorted() {
		for _, file := range p.code() {
			for _, imp := range file.imports() {
				f(p, file, imp)
			}
		}
	}
}

// housed finds packages that belong to no layer.
func housed(t *tree) (out []string) {
	for _, p := range t.sorted() {
		if _, ok := layerOf(p.path); !ok && !kit(p.path) && p.path != "shared/archtest" {
			out = append(out, p.path+" is in no layer")
		}
	}
	return out
}

// downward finds imports that do not go down the layers.
func downward(t *tree) (out []string) {
	t.eachImport(func(p *pkg, f *file, imp string) {
		to, own := t.own(imp)
		if !own || kit(to) {
			return
		}
		a, ok := layerOf(p.path)
		b, known := layerOf(to)
		if !ok || !known || slices.Contains(a.down, b.number) || room(p.path) == room(to) ||
			slices.Contains(beside[room(p.path)], room(to)) {
			return
		}
		out = append(out, fmt.Sprintf("%s (%s) imports %s (%s)", f.path, a.name, to, b.name))
	})
	return out
}

// plain finds third-party imports in the vocabulary.
func plain(t *tree) (out []string) {
	t.eachImport(func(p *pkg, f *file, imp string) {
		if l, ok := layerOf(p.path); ok && l.number == 0 && t.foreign(imp) {
			out = append(out, f.path+" imports "+imp)
		}
	})
	return out
}

// cloudless finds SDKs outside the drivers, the platforms and the programs.
func cloudless(t *tree) (out []string) {
	t.eachImport(func(p *pkg, f *file, imp string) {
		l, ok := layerOf(p.path)
		if !ok || l.number == 2 || l.number >= 6 || !sdk(imp) {
			return
		}
		for _, may := range spared[room(p.path)] {
			if imp == may || !strings.HasPrefix(may, "gocloud.dev") && within(imp, may) {
				return
			}
		}
		out = append(out, fmt.Sprintf("%s (%s) imports %s", f.path, l.name, imp))
	})
	return out
}

func sdk(imp string) bool {
	return slices.ContainsFunc(sdks, func(s string) bool { return within(imp, s) })
}

// oneDuck finds imports of DuckDB outside its driver. The benchmarks' floors are
// plain DuckDB on purpose, and a twin may stand on it.
func oneDuck(t *tree) (out []string) {
	t.eachImport(func(p *pkg, f *file, imp string) {
		if within(imp, "github.com/duckdb") && p.path != "shared/warehouse/duckdb" &&
			!within(p.path, "scripts/bench") && !kit(p.path) {
			out = append(out, f.path+" imports "+imp)
		}
	})
	return out
}

// light finds cloud platforms that reach DuckDB through any chain of imports.
func light(t *tree) (out []string) {
	for _, from := range []string{"shared/platform/gcp", "shared/platform/aws"} {
		if chain := t.reach(from, "shared/warehouse/duckdb", map[string]bool{}); chain != nil {
			out = append(out, strings.Join(chain, " → "))
		}
	}
	return out
}

// reach returns a chain of imports from one package to another, nil if none.
func (t *tree) reach(from, to string, seen map[string]bool) []string {
	if from == to {
		return []string{to}
	}
	p := t.pkgs[from]
	if p == nil || seen[from] {
		return nil
	}
	seen[from] = true
	for _, f := range p.code() {
		for _, imp := range f.imports() {
			if own, ok := t.own(imp); ok {
				if rest := t.reach(own, to, seen); rest != nil {
					return append([]string{from}, rest...)
				}
			}
		}
	}
	return nil
}

// kitsOutside finds twins and kits imported by code that ships, and twins that
// lean on the code which they are there to test.
func kitsOutside(t *tree) (out []string) {
	t.eachImport(func(p *pkg, f *file, imp string) {
		to, own := t.own(imp)
		switch {
		case !own:
		case kit(to) && !kit(p.path) && !within(p.path, "scripts") && !within(p.path, "shared/platform/local"):
			out = append(out, f.path+" imports "+to)
		case kit(p.path) && within(p.path, "functions") && within(to, "functions") && !kit(to):
			out = append(out, f.path+" imports "+to)
		}
	})
	return out
}
