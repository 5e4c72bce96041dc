package functions_test

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions"
	"github.com/millrace-data/millrace/functions/load"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/rest"
)

// entry is a function as terraform deploys it, on either cloud.
type entry struct {
	Schedule     string   `json:"schedule"`      // cron, five fields, UTC; none: events alone start it
	After        []string `json:"after"`         // of a function that tables start: the functions that load them; "*" = any
	Announces    bool     `json:"announces"`     // it fills a table of its own, and says so on millrace-loaded
	TimeoutS     int      `json:"timeout_s"`     // of one invocation
	MemoryMB     int      `json:"memory_mb"`     //
	MaxInstances int      `json:"max_instances"` // at a time; the vendor's limit, or the warehouse's
	Egress       string   `json:"egress"`        // "static": one address, for allow-lists
	Note         string   `json:"note"`          // for the person who deploys
	Environment  []string `json:"environment"`   // variables that are given as they are
	Secrets      []string `json:"secrets"`       // variables that are given by reference
}

// gcpEventMax is how long Google lets a function work on an event, in seconds.
const gcpEventMax = 540 // Cloud Run functions quotas, platform notes of 2026

func infraMap(t *testing.T) map[string]entry {
	t.Helper()
	f, err := os.Open("../infra/functions.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dec := json.NewDecoder(f)
	dec.DisallowUnknownFields()
	var m map[string]entry
	if err := dec.Decode(&m); err != nil {
		t.Fatalf("infra/functions.json: %v", err)
	}
	if dec.More() {
		t.Fatal("infra/functions.json: there is more than one document in it")
	}
	return m
}

// The map that terraform reads has exactly the functions of this build.
func TestInfraHasEveryFunction(t *testing.T) {
	want := []string{load.Name}
	for _, f := range functions.All {
		want = append(want, f.Name)
	}
	for _, f := range functions.Followers {
		want = append(want, f.Name)
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(infraMap(t))); !slices.Equal(got, want) {
		t.Errorf("infra/functions.json has %q, functions.go has %q: they must be the same", got, want)
	}
}

func TestInfraEntries(t *testing.T) {
	cron := regexp.MustCompile(`^([0-9*/,-]+ ){4}[0-9*/,-]+$`)
	name := regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)
	for fn, e := range infraMap(t) {
		if e.Schedule == "" && fn != load.Name && e.After == nil || e.Schedule != "" && (fn == load.Name || !cron.MatchString(e.Schedule)) {
			t.Errorf("%s: schedule %q; every connector has one of five fields, load has none", fn, e.Schedule)
		}
		if e.TimeoutS < 60 || e.TimeoutS > gcpEventMax {
			t.Errorf("%s: timeout_s is %d, want 60 to %d", fn, e.TimeoutS, gcpEventMax)
		}
		if !slices.Contains([]int{256, 512, 1024, 2048, 4096}, e.MemoryMB) || e.MaxInstances < 1 {
			t.Errorf("%s: memory_mb %d, max_instances %d", fn, e.MemoryMB, e.MaxInstances)
		}
		if !slices.Contains([]string{"", "static"}, e.Egress) || e.Egress != "" && e.Note == "" {
			t.Errorf("%s: egress %q with note %q; it is empty or static, and static says why", fn, e.Egress, e.Note)
		}
		all := slices.Concat(e.Environment, e.Secrets)
		for i, v := range all {
			if !name.MatchString(v) || slices.Contains(all[:i], v) || strings.HasPrefix(v, "MILLRACE_") {
				t.Errorf("%s: variable %q is no name, is there twice, or is Millrace's own", fn, v)
			}
		}
	}
}

// filterMax is what a filter of a Pub/Sub subscription may have.
const filterMax = 256 // bytes; Pub/Sub quotas, read 2026-11

// What follows tables is started by the functions that load them, by no others where
// that can be known before it is configured, and says what it loads itself.
func TestInfraFollowers(t *testing.T) {
	m := infraMap(t)
	inputs := functions.Inputs(functions.All, functions.Followers)
	for name, e := range m {
		if _, err := functions.FindFollower(name); err != nil && (e.After != nil || e.Announces) {
			t.Errorf("%s follows nothing: after %q, announces %v", name, e.After, e.Announces)
		}
	}
	for _, f := range functions.Followers {
		e := m[f.Name]
		if e.Announces != (len(f.Tables) > 0) {
			t.Errorf("%s fills %d tables, announces is %v", f.Name, len(f.Tables), e.Announces)
		}
		want := []string{"*"}
		if ready, err := f.Open(env.Map(nil), follow.Invocation{Inputs: inputs, Now: time.Now}); err == nil {
			want = nil
			for _, in := range inputs {
				if slices.Contains(ready.Follows(), in.FullName()) && !slices.Contains(want, in.Function) {
					want = append(want, in.Function)
				}
			}
			slices.Sort(want)
		}
		if !slices.Equal(e.After, want) {
			t.Errorf("%s: after %q, its tables are loaded by %q", f.Name, e.After, want)
		}
		filter := ""
		for _, by := range e.After {
			filter += ` OR attributes.function = "` + by + `"`
		}
		if len(filter) > filterMax {
			t.Errorf("%s: a filter of %d bytes is too long for Pub/Sub", f.Name, len(filter))
		}
	}
}

// opens are the functions of this build by name, as far as their configuration goes.
func opens(t *testing.T) map[string]func(env.Lookup) error {
	out := map[string]func(env.Lookup) error{}
	for _, f := range functions.All {
		out[f.Name] = func(l env.Lookup) error {
			_, err := f.Open(l, extract.Invocation{Meter: &rest.Meter{}, Scratch: t.TempDir()})
			return err
		}
	}
	in := functions.Inputs(functions.All, functions.Followers)
	for _, f := range functions.Followers {
		out[f.Name] = func(l env.Lookup) error {
			_, err := f.Open(l, follow.Invocation{Inputs: in, Now: time.Now})
			return err
		}
	}
	return out
}

// The variables of the map are those that the functions read, optional ones too:
// terraform refuses a setting that is not in the map.
func TestInfraNamesVariables(t *testing.T) {
	m := infraMap(t)
	for name, open := range opens(t) {
		asked := map[string]bool{}
		err := open(func(key string) (string, bool) {
			asked[key] = true
			return "", false
		})
		if !errors.Is(err, fault.Invalid) && len(asked) > 0 {
			t.Fatalf("%s without configuration: got %v, want invalid", name, err)
		}
		listed := slices.Sorted(slices.Values(slices.Concat(m[name].Environment, m[name].Secrets)))
		if got := slices.Sorted(maps.Keys(asked)); !slices.Equal(got, listed) {
			t.Errorf("%s reads %q, infra/functions.json lists %q: they must be the same", name, got, listed)
		}
	}
}

// What is a secret in the code is one in the infrastructure, and nothing else is:
// a reference that nobody resolved is refused by secrets only.
func TestInfraNamesSecrets(t *testing.T) {
	m := infraMap(t)
	for name, open := range opens(t) {
		var secret []string
		asked := false
		err := open(func(string) (string, bool) {
			asked = true
			return "secret://x", true
		})
		if err == nil && asked {
			t.Fatalf("%s took references for secrets", name)
		}
		text := ""
		if err != nil {
			text = strings.TrimPrefix(err.Error(), "configuration: ")
		}
		for problem := range strings.SplitSeq(text, "; ") {
			variable, rest, _ := strings.Cut(problem, " ")
			if strings.Contains(rest, "is a reference") {
				secret = append(secret, variable)
			}
		}
		slices.Sort(secret)
		if want := slices.Sorted(slices.Values(m[name].Secrets)); !slices.Equal(secret, want) {
			t.Errorf("%s: secrets in the code are %q, infra/functions.json lists %q", name, secret, want)
		}
	}
}

// What infra/README.md lists is what there is: a deployment needs nothing else.
func TestInfraReadme(t *testing.T) {
	readme, err := os.ReadFile("../infra/README.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `([a-z_]+)`(?:, `([a-z_]+)`)? \\|")
	listed := map[string]bool{}
	for _, m := range rows.FindAllStringSubmatch(string(readme), -1) {
		listed[m[1]] = true
		if m[2] != "" {
			listed[m[2]] = true
		}
	}
	declared := regexp.MustCompile(`(?m)^(?:variable|output) "([a-z_]+)" \{\n  description = "(.+)"$`)
	all := regexp.MustCompile(`(?m)^(?:variable|output) "`)
	there := map[string]bool{}
	for _, cloud := range []string{"gcp", "aws"} {
		for _, file := range []string{"variables.tf", "outputs.tf"} {
			text, err := os.ReadFile("../infra/" + cloud + "/" + file)
			if err != nil {
				t.Fatal(err)
			}
			found := declared.FindAllSubmatch(text, -1)
			if n := len(all.FindAll(text, -1)); n != len(found) {
				t.Errorf("infra/%s/%s: %d of %d begin with a description", cloud, file, len(found), n)
			}
			for _, m := range found {
				there[string(m[1])] = true
			}
		}
	}
	if got, want := slices.Sorted(maps.Keys(listed)), slices.Sorted(maps.Keys(there)); !slices.Equal(got, want) {
		t.Errorf("infra/README.md lists %q\nthe files declare %q", got, want)
	}
}
