package env

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"text/template"

	"github.com/kelseyhightower/envconfig"

	"github.com/millrace-data/millrace/shared/fault"
)

// Load fills the struct cfg points at. A field APIKey with `envconfig:"API_KEY"`
// is read from PREFIX_API_KEY and from nowhere else. A variable that is set but
// empty counts as not set.
//
// Everything that is wrong is reported in one fault.Invalid error: each required
// variable that is missing, with its `doc` tag, and each value that does not
// parse (never the value of a field that holds a [Secret]).
func Load(lookup Lookup, prefix string, cfg any) error {
	fields, err := gather(prefix, cfg)
	if err != nil {
		return err
	}
	var wrong []string
	for _, f := range fields {
		if problem := f.fill(lookup); problem != "" {
			wrong = append(wrong, problem)
		}
	}
	if len(wrong) > 0 {
		return fault.New(fault.Invalid, "configuration: %s", strings.Join(wrong, "; "))
	}
	return nil
}

// field is one variable of a struct, as envconfig sees it.
type field struct {
	key   string
	tags  reflect.StructTag
	value reflect.Value
}

// gather lists the variables of cfg. envconfig shows its list only to a usage
// template, so the template is where we pick it up; writing the walk again would
// give us names that drift from envconfig's.
func gather(prefix string, cfg any) ([]field, error) {
	var fields []field
	visit := func(key string, tags reflect.StructTag, value reflect.Value) string {
		fields = append(fields, field{key, tags, value})
		return ""
	}
	list := template.Must(template.New("").
		Funcs(template.FuncMap{"visit": visit}).
		Parse(`{{range .}}{{visit .Key .Tags .Field}}{{end}}`))
	if err := envconfig.Usaget(prefix, cfg, io.Discard, list); err != nil {
		return nil, fault.New(fault.Invalid, "configuration of %s in a %T: %w", prefix, cfg, err)
	}
	return fields, nil
}

// fill sets the field and returns what is wrong, "" if nothing is.
func (f field) fill(lookup Lookup) string {
	text, _ := lookup(f.key)
	if text == "" {
		text = f.tags.Get("default")
	}
	if text == "" {
		if required, _ := strconv.ParseBool(f.tags.Get("required")); required {
			return f.describe("is not set")
		}
		return ""
	}
	if err := parse(text, f.value); err != nil {
		return f.describe("is not " + f.want() + f.why(err))
	}
	return ""
}

func (f field) describe(problem string) string {
	if doc := f.tags.Get("doc"); doc != "" {
		return fmt.Sprintf("%s %s (%s)", f.key, problem, doc)
	}
	return f.key + " " + problem
}

func (f field) want() string { return "a valid " + strings.TrimPrefix(f.value.Type().String(), "*") }

// why is the parser's reason, which tends to quote the value.
func (f field) why(err error) string {
	if holdsSecret(f.value.Type()) && !isSecret(f.value.Type()) {
		return ""
	}
	return ": " + err.Error()
}

func isSecret(t reflect.Type) bool { return t == reflect.TypeFor[Secret]() }

// holdsSecret sees secrets in lists, maps and behind pointers.
func holdsSecret(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Map, reflect.Slice, reflect.Array, reflect.Pointer:
		return holdsSecret(t.Elem())
	}
	return isSecret(t)
}

// parse sets v to text by envconfig's rules. envconfig reads the process's
// environment only, which tests that run in parallel must not touch; so it gets a
// struct of one field whose default is the text and whose variable cannot exist:
// the name of a variable never holds "=".
func parse(text string, v reflect.Value) error {
	tag := reflect.StructTag(`envconfig:"=" default:` + strconv.Quote(text))
	box := reflect.New(reflect.StructOf([]reflect.StructField{{Name: "V", Type: v.Type(), Tag: tag}}))
	err := envconfig.Process("", box.Interface())
	var bad *envconfig.ParseError
	if errors.As(err, &bad) {
		return bad.Err // the rest of it names our box and quotes the value
	}
	if err != nil {
		return err
	}
	v.Set(box.Elem().Field(0))
	return nil
}
