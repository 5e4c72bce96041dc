package reverse

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

func compiled(t testing.TB) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("job.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	return c.MustCompile("job.schema.json")
}

// plainValue is a node as a JSON library has it.
func plainValue(n *node) any {
	switch n.shape {
	case shapeNumber:
		return json.Number(n.text)
	case shapeBoolean:
		return n.text == "true"
	case shapeNull:
		return nil
	case shapeList:
		out := []any{}
		for _, item := range n.items {
			out = append(out, plainValue(item))
		}
		return out
	case shapeMapping:
		out := map[string]any{}
		for _, e := range n.entries {
			out[e.key] = plainValue(e.value)
		}
		return out
	}
	return n.text
}

// schemaPart is a part of the schema that describes a struct.
type schemaPart struct {
	Description          string
	AdditionalProperties any
	Properties           map[string]struct {
		Description string
		Ref         string `json:"$ref"`
		Enum        []string
	}
}

func TestSchemaIsOfTheTypes(t *testing.T) {
	var doc struct {
		schemaPart
		Defs map[string]schemaPart `json:"$defs"`
	}
	if err := json.Unmarshal([]byte(Schema()), &doc); err != nil {
		t.Fatal(err)
	}
	types := map[string]reflect.Type{"guards": reflect.TypeFor[Guards](), "limit": reflect.TypeFor[Limit](), "field": reflect.TypeFor[FieldGuard](),
		"factor": reflect.TypeFor[Factor](), "inputs": reflect.TypeFor[Inputs]()}
	same := func(name string, p schemaPart, typ reflect.Type) {
		var want []string
		for _, k := range keysOf(typ) {
			want = append(want, k.name)
			f := typ.FieldByIndex(k.index).Type
			if e := enums[f]; !slices.Equal(e, p.Properties[k.name].Enum) {
				t.Errorf("%s.%s takes %v, the schema %v", name, k.name, e, p.Properties[k.name].Enum)
			}
			if (f == reflect.TypeFor[time.Duration]()) != (p.Properties[k.name].Ref == "#/$defs/age") {
				t.Errorf("%s.%s is %s, and of the schema's %q", name, k.name, f, p.Properties[k.name].Ref)
			}
			if p.Properties[k.name].Description == "" && doc.Defs[k.name].Description == "" {
				t.Errorf("%s.%s has no description", name, k.name)
			}
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(p.Properties))); diff != "" {
			t.Errorf("keys of %s (-types +schema):\n%s", name, diff)
		}
		if p.AdditionalProperties != false {
			t.Errorf("%s takes other keys", name)
		}
	}
	same("job", doc.schemaPart, reflect.TypeFor[Job]())
	for name, typ := range types {
		same(name, doc.Defs[name], typ)
	}
}

// told are the problems that a schema can tell.
var told = []string{ruleUnknown, ruleType, ruleMissing}

func TestSchemaAgrees(t *testing.T) {
	schema := compiled(t)
	var files []string
	for _, glob := range []string{"good/*.yml", "good/*.yaml", "bad/*.yml"} {
		found, _ := filepath.Glob("testdata/jobs/" + glob)
		files = append(files, found...)
	}
	if len(files) < 10 {
		t.Fatalf("only %d files", len(files))
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		n, p := readYAML(text)
		if p != nil {
			continue // no document to hold against a schema
		}
		f := readFile(path)
		bad := slices.ContainsFunc(f.problems, func(p problem) bool { return slices.Contains(told, p.Rule) })
		err = schema.Validate(plainValue(n))
		switch {
		case err != nil && len(f.problems) == 0:
			t.Errorf("%s is a job, and the schema says: %v", path, err)
		case err == nil && bad:
			t.Errorf("%s: the schema takes it, and it is wrong: %v", path, f.err())
		}
		if len(f.problems) > 0 {
			continue
		}
		n, err = readJSON(f.job.Text())
		if err == nil {
			err = schema.Validate(plainValue(n))
		}
		if err != nil {
			t.Errorf("the stored form of %s: %v", path, err)
		}
	}
}

// FuzzParseJob: what is taken, the schema takes too; it reads back from its stored
// form as it was; and nothing panics.
func FuzzParseJob(f *testing.F) {
	schema := compiled(f)
	for _, glob := range []string{"good/*.y*ml", "bad/*.yml"} {
		paths, _ := filepath.Glob("testdata/jobs/" + glob)
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		job, err := ParseJob(text, "")
		if err != nil {
			return
		}
		n, p := readYAML(text)
		if p != nil {
			t.Fatalf("read once and not twice: %s", p)
		}
		if err := schema.Validate(plainValue(n)); err != nil {
			t.Errorf("the schema says: %v", err)
		}
		back, err := ParseJobText(job.Text())
		if err != nil {
			t.Fatalf("%s: %v", job.Text(), err)
		}
		if a, b := job.Text(), back.Text(); a != b {
			t.Errorf("stored %s, read back %s", a, b)
		}
	})
}
