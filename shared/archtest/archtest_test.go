package archtest

import (
	"maps"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// rule is one house rule with the reason that a failure prints.
type rule struct {
	name  string
	why   string
	check func(*tree) []string
}

var rules = []rule{
	{"housed", "every package belongs to one layer of DESIGN.md §5, so that a reader knows what it may touch; " +
		"a new room is entered in layers_test.go", housed},
	{"downward", "imports go down the layers only: what is below can be read, tested and replaced without what is above; " +
		"an import beside needs a line in layers_test.go", downward},
	{"plain", "record, fault and span are the vocabulary of everything and bring nothing along: standard library only", plain},
	{"cloudless", "ports, engines and functions run on every cloud and on a laptop: SDKs stay in drivers and platforms; " +
		"a vendor's own SDK needs a line in layers_test.go", cloudless},
	{"one duck", "DuckDB needs cgo and 100 MB: only its driver imports it, so that a binary without the driver links none of it", oneDuck},
	{"light", "functions on GCP and AWS build without cgo: no chain of imports may lead them to DuckDB", light},
	{"kits outside", "twins and kits are for tests, demos and benchmarks: none ships inside a function, " +
		"and a twin that used its connector would share its mistakes", kitsOutside},
	{"no init", "a platform names its drivers; nothing registers itself or works at import, " +
		"so a binary links and does what its main says", noInit},
	{"top level", "a newcomer sees where things are before opening anything: these entries and no others", topLevel},
	{"short", "what does not fit on a page is read badly: split by idea, not by length", short},
	{"introduced", "the package comment states the idea before the API, and opens with its name so that go doc reads well", introduced},
	{"documented", "an exported name is a promise, and a promise is written down: shapes, units, errors", documented},
}

func TestHouse(t *testing.T) {
	house, err := load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := house.pkgs["shared/archtest"]; !ok {
		t.Fatalf("read %d packages but not this one: is the checkout complete?", len(house.pkgs))
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			if bad := r.check(house); len(bad) > 0 {
				t.Errorf("%d times:\n\t%s\nwhy: %s", len(bad), strings.Join(bad, "\n\t"), r.why)
			}
		})
	}
}

// sound is a tree that keeps every rule.
var sound = map[string]string{
	"go.mod": "module example.com/m\n", "go.sum": "", "Makefile": "", "README.md": "", "LICENSE": "", ".gitignore": "",
	"bin/millrace": "", "infra/gcp/main.tf": "",
	"shared/record/record.go":                         "// Package record is.\npackage record\nimport _ \"time\"\n// A is.\ntype A int\nfunc (A) String() string { return \"\" }\n",
	"shared/gate/gate.go":                             "// Package gate\n// is.\npackage gate\nimport _ \"example.com/m/shared/record\"\n",
	"shared/stage/stage.go":                           "// Package stage is.\npackage stage\nimport (_ \"gocloud.dev/blob\"; _ \"example.com/m/shared/gate\")\n",
	"shared/stage/stage_test.go":                      "package stage_test\nimport _ \"gocloud.dev/blob/memblob\"\nfunc init() {}\nfunc Undocumented() {}\n",
	"shared/warehouse/warehouse.go":                   "// Package warehouse is.\npackage warehouse\n",
	"shared/warehouse/duckdb/duckdb.go":               "// Package duckdb is.\npackage duckdb\nimport (_ \"github.com/duckdb/duckdb-go/v2\"; _ \"example.com/m/shared/warehouse\")\n",
	"shared/warehouse/warehousetest/warehousetest.go": "// Package warehousetest is.\npackage warehousetest\n",
	"shared/extract/extract.go":                       "// Package extract is.\npackage extract\nimport _ \"example.com/m/shared/stage\"\n",
	"shared/platform/local/local.go":                  "// Package local is.\npackage local\nimport (_ \"example.com/m/shared/warehouse/duckdb\"; _ \"example.com/m/functions/clari/claritest\")\n",
	"shared/platform/gcp/gcp.go":                      "// Package gcp is.\npackage gcp\nimport _ \"example.com/m/functions/clari\"\n",
	"functions/functions.go":                          "// Package functions is.\npackage functions\nimport _ \"example.com/m/functions/clari\"\n",
	"functions/clari/clari.go":                        "// Package clari is.\npackage clari\nimport _ \"example.com/m/shared/extract\"\n",
	"functions/clari/claritest/claritest.go":          "// Package claritest is.\npackage claritest\nfunc long() {\n" + strings.Repeat("\n", 500) + "}\n",
	"functions/clari/columns.go":                      "package clari\n" + strings.Repeat("// a column\n", 500),
	"scripts/millrace/main.go":                        "// Command millrace is.\npackage main\nimport _ \"example.com/m/shared/platform/local\"\nfunc main() {}\n",
	"shared/nested/go.mod":                            "module other\n",
	"shared/nested/x.go":                              "package undocumented\nfunc init() {}\n",
}

func TestSoundTreePasses(t *testing.T) {
	house := synthetic(t, nil)
	for _, r := range rules {
		if bad := r.check(house); len(bad) > 0 {
			t.Errorf("%s on a sound tree: got %q, want nothing", r.name, bad)
		}
	}
}

func TestRulesFail(t *testing.T) {
	const m = "example.com/m/"
	use := func(name string, imports ...string) string {
		src := "// Package " + name + " is.\npackage " + name + "\n"
		for _, i := range imports {
			src += "import _ \"" + i + "\"\n"
		}
		return src
	}
	for _, c := range []struct{ name, rule, file, src, want string }{
		{"a room nobody planned", "housed", "shared/util/util.go", use("util"), "shared/util is in no layer"},
		{"an engine on a driver", "downward", "shared/extract/x.go", use("extract", m+"shared/warehouse/duckdb"), "shared/warehouse/duckdb (drivers)"},
		{"an engine on an engine", "downward", "shared/load/load.go", use("load", m+"shared/extract"), "shared/extract (engines)"},
		{"a port on an unlisted port", "downward", "shared/gate/x.go", use("gate", m+"shared/stage"), "shared/gate/x.go (mechanisms and ports) imports shared/stage"},
		{"a function on another", "downward", "functions/zuora/zuora.go", use("zuora", m+"functions/clari"), "imports functions/clari"},
		{"a function's inner package on a driver", "downward", "functions/clari/internal/a/a.go", use("a", m+"shared/warehouse/duckdb"), "(functions) imports shared/warehouse/duckdb"},
		{"a function on a platform", "downward", "functions/clari/x.go", use("clari", m+"shared/platform/local"), "(platforms)"},
		{"a cloud on another", "downward", "shared/platform/gcp/x.go", use("gcp", m+"shared/platform/local"), "imports shared/platform/local"},
		{"a platform on a program", "downward", "shared/platform/local/x.go", use("local", m+"scripts/millrace"), "(programs)"},
		{"vocabulary with baggage", "plain", "shared/record/x.go", use("record", "github.com/cockroachdb/apd/v3"), "imports github.com/cockroachdb/apd/v3"},
		{"a blob driver in the port", "cloudless", "shared/stage/x.go", use("stage", "gocloud.dev/blob/gcsblob"), "imports gocloud.dev/blob/gcsblob"},
		{"a cloud in a function", "cloudless", "functions/clari/x.go", use("clari", "github.com/aws/aws-sdk-go-v2/aws"), "(functions) imports github.com/aws"},
		{"a second door to DuckDB", "one duck", "scripts/millrace/x.go", use("main", "github.com/duckdb/duckdb-go/v2"), "scripts/millrace/x.go"},
		{"a cloud that drags DuckDB along", "light", "functions/clari/x.go", use("clari", m+"shared/warehouse/duckdb"), "shared/platform/gcp → functions/clari → shared/warehouse/duckdb"},
		{"a twin that ships", "kits outside", "functions/clari/x.go", use("clari", m+"functions/clari/claritest"), "imports functions/clari/claritest"},
		{"a twin that copies", "kits outside", "functions/clari/claritest/x.go", use("claritest", m+"functions/clari"), "imports functions/clari"},
		{"work at import", "no init", "shared/warehouse/duckdb/x.go", use("duckdb") + "func init() {}\n", "x.go:3: func init"},
		{"a heap at the top", "top level", "docs/x.txt", "", "docs is not one"},
		{"a long file", "short", "shared/gate/x.go", use("gate") + "func f() {}\n" + strings.Repeat("\n", 400), "has 403 lines"},
		{"a long function", "short", "shared/gate/x.go", use("gate") + "func f() {" + strings.Repeat("\n", 80) + "}\n", "f has 81 lines"},
		{"a package nobody introduced", "introduced", "shared/job/job.go", "// Job runs.\npackage job\n", `"Package job"`},
		{"a program nobody introduced", "introduced", "scripts/bench/main.go", "// Package main is.\npackage main\n", `"Command bench"`},
		{"a silent function", "documented", "shared/gate/x.go", use("gate") + "func F() {}\n", "x.go:3: F has no comment"},
		{"a silent method", "documented", "shared/gate/x.go", use("gate") + "// T is.\ntype T[A any] int\nfunc (*T[A]) M() {}\nfunc (t) N() {}\n", "M has no comment"},
		{"a silent type in a group", "documented", "shared/gate/x.go", use("gate") + "// Types.\ntype (\n\tA int\n)\n// Two are.\ntype (\n\tB int\n\tC int\n)\n", "B has no comment"},
		{"a silent constant", "documented", "shared/gate/x.go", use("gate") + "const (\n\tA = 1 // is\n\tB = 2\n)\n", "B has no comment"},
	} {
		t.Run(c.name, func(t *testing.T) {
			house := synthetic(t, map[string]string{c.file: c.src})
			for _, r := range rules {
				if r.name == c.rule {
					if got := strings.Join(r.check(house), "\n"); !strings.Contains(got, c.want) {
						t.Fatalf("%s: got %q, want it to contain %q", c.rule, got, c.want)
					}
					return
				}
			}
			t.Fatalf("no rule is called %q", c.rule)
		})
	}
}

func TestMissingEntry(t *testing.T) {
	house := synthetic(t, nil)
	house.top = []string{"go.mod"}
	if got := strings.Join(topLevel(house), "\n"); !strings.Contains(got, "LICENSE is missing") {
		t.Errorf("got %q, want LICENSE to be missed", got)
	}
}

// synthetic parses the sound tree with some files added.
func synthetic(t *testing.T, more map[string]string) *tree {
	t.Helper()
	files := maps.Clone(sound)
	maps.Copy(files, more)
	src := fstest.MapFS{}
	for name, text := range files {
		src[name] = &fstest.MapFile{Data: []byte(text)}
	}
	house, err := load(src)
	if err != nil {
		t.Fatal(err)
	}
	return house
}
