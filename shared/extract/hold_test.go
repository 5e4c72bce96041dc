package extract_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/extract/extracttest"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/part"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// scripted is a vendor whose answers a test writes down.
type scripted struct {
	tables  []extract.Table
	read    func(ctx context.Context, s extract.Slice, out *extract.Out) error
	objects func(w extract.Wish) []extract.Object
}

func (v *scripted) function() *extract.Function {
	return &extract.Function{Name: "scripted", Workers: 1, Tables: v.tables,
		Open: func(env.Lookup, extract.Invocation) (extract.Source, error) { return v, nil }}
}

func (v *scripted) Read(ctx context.Context, s extract.Slice, out *extract.Out) error {
	return v.read(ctx, s, out)
}

func (v *scripted) Objects(_ context.Context, w extract.Wish) iter.Seq2[extract.Object, error] {
	return func(yield func(extract.Object, error) bool) {
		for _, o := range v.objects(w) {
			if !yield(o, nil) {
				return
			}
		}
	}
}

func (v *scripted) run(t *testing.T, m *extracttest.Mill) {
	t.Helper()
	if err := m.Run(t.Context(), v.function(), extract.Request{Now: now}); err != nil {
		t.Fatal(err)
	}
}

type letter struct {
	ID string `field:"id" key:"true"`
	V  string `field:"v"`
}

// letters is a table of letters, cut by objects.
func letters(name string, mode record.Mode) extract.Table {
	return extract.Table{Table: record.Table{Schema: "scripted", Name: name, Columns: record.Columns[letter](), Key: record.Key[letter](), Mode: mode}, Slices: extract.Objects()}
}

func object(names ...string) func(extract.Wish) []extract.Object {
	return func(extract.Wish) (out []extract.Object) {
		for _, n := range names {
			out = append(out, extract.Object{Name: n})
		}
		return out
	}
}

func rows(out *extract.Out, ids ...string) error {
	for _, id := range ids {
		if err := out.Row([]byte(fmt.Sprintf(`{"id":%q,"v":"x"}`, id))); err != nil {
			return err
		}
	}
	return nil
}

const stateOf = `SELECT table_name, slice, state, rows_loaded FROM millrace.slices ORDER BY 1, 2`

// What was saved is there after a kill, rows and cursor.
func TestSaveSurvives(t *testing.T) {
	var cursors []string
	killed := false
	v := &scripted{tables: []extract.Table{letters("letters", record.Merge)}, objects: object("o")}
	v.read = func(_ context.Context, _ extract.Slice, out *extract.Out) error {
		cursors = append(cursors, out.Cursor())
		if out.Cursor() == "" {
			if err := errors.Join(rows(out, "a", "b"), out.Save("job 7")); err != nil {
				return err
			}
		}
		if !killed {
			killed = true
			return errors.New("killed")
		}
		return rows(out, "c")
	}
	m := extracttest.New(t, env.Map(nil))
	v.run(t, m)
	v.run(t, m)
	if diff := cmp.Diff([]string{"", "job 7"}, cursors); diff != "" {
		t.Errorf("cursors (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, m.Rows(t, `SELECT id FROM scripted.letters ORDER BY 1`)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// A slice sees what the others have saved, and what they left when they were read.
func TestOthers(t *testing.T) {
	v := &scripted{tables: []extract.Table{letters("letters", record.Merge)}, objects: object("a", "b", "c", "d")}
	var got [][]string
	v.read = func(_ context.Context, s extract.Slice, out *extract.Out) error {
		switch s.ID {
		case "a":
			return errors.Join(out.Save("job a"), errors.New("killed"))
		case "b":
			out.SetCursor("job b")
		case "d":
			others, err := out.Others()
			got = append(got, others)
			return errors.Join(out.Save("job d"), err)
		}
		return rows(out, s.ID)
	}
	m := extracttest.New(t, env.Map(nil))
	v.run(t, m)
	v.run(t, m)
	if diff := cmp.Diff([][]string{{"job a", "job b"}}, got); diff != "" {
		t.Errorf("seen by d (-want +got):\n%s", diff)
	}
}

// A pause keeps runs away until its end, by the present or by the clock of the run.
func TestPauseAndClock(t *testing.T) {
	v := &scripted{tables: []extract.Table{letters("letters", record.Merge)}, objects: object("o")}
	reads := 0
	v.read = func(context.Context, extract.Slice, *extract.Out) error {
		reads++
		return fault.LimitedUntil(time.Now().Add(time.Hour), "the quota is used up")
	}
	m := extracttest.New(t, env.Map(nil))
	for i, at := range []time.Time{now, now, time.Now().Add(2 * time.Hour)} {
		if err := m.Run(t.Context(), v.function(), extract.Request{Now: at}); err != nil {
			t.Fatal(err)
		}
		if want := []int{1, 1, 2}[i]; reads != want {
			t.Errorf("run %d: read %d times, want %d", i, reads, want)
		}
	}
}

// A continuation says when it may come.
func TestLaterWaits(t *testing.T) {
	v := &scripted{tables: []extract.Table{letters("letters", record.Merge)}, objects: object("o")}
	v.read = func(_ context.Context, _ extract.Slice, out *extract.Out) error {
		if out.Cursor() == "" {
			return out.Later("asked", time.Hour)
		}
		return rows(out, "a")
	}
	m := extracttest.New(t, env.Map(nil))
	f := v.function()
	s, err := m.Extract.Tick(t.Context(), f, extract.Request{Now: now})
	if err != nil || len(s) != 1 || !m.Slices[0].NotBefore.IsZero() {
		t.Fatal(s, err)
	}
	o, err := m.Extract.Handle(t.Context(), f, m.Slices[0])
	if err != nil || o.State != warehouse.Planned || time.Until(o.Until) < 59*time.Minute {
		t.Fatalf("state %s until %s, %v", o.State, o.Until, err)
	}
	if next := m.Slices[1]; !next.NotBefore.Equal(o.Until) {
		t.Errorf("the continuation comes not before %s, want %s", next.NotBefore, o.Until)
	}
}

// What a restart forgets is not loaded, wherever the slice is killed then.
func TestRestart(t *testing.T) {
	for _, kill := range []bool{false, true} {
		step := 0
		v := &scripted{tables: []extract.Table{letters("letters", record.Merge)}, objects: object("o")}
		v.read = func(_ context.Context, _ extract.Slice, out *extract.Out) error {
			if step++; step == 1 {
				if err := errors.Join(rows(out, "old"), out.Save("page 2"), rows(out, "older"), out.Restart("the cursor died")); err != nil {
					return err
				}
				if kill {
					return errors.New("killed")
				}
			}
			if out.Cursor() != "" {
				t.Errorf("cursor %q after a restart", out.Cursor())
			}
			return rows(out, "new")
		}
		m := extracttest.New(t, env.Map(nil))
		v.run(t, m)
		v.run(t, m)
		if diff := cmp.Diff([]string{"new"}, m.Rows(t, `SELECT id FROM scripted.letters`)); diff != "" {
			t.Errorf("killed %v: rows (-want +got):\n%s", kill, diff)
		}
	}
}

func TestRestartsAreBounded(t *testing.T) {
	n := 0
	v := &scripted{tables: []extract.Table{letters("letters", record.Merge)}, objects: object("o")}
	v.read = func(_ context.Context, _ extract.Slice, out *extract.Out) error {
		for {
			n++
			if err := errors.Join(rows(out, "a"), out.Restart("it died")); err != nil {
				return err
			}
		}
	}
	m := extracttest.New(t, env.Map(nil))
	v.run(t, m)
	if o := m.Outcomes[0]; n != 4 || !errors.Is(o.Err, fault.Transient) || !strings.Contains(o.Err.Error(), "it died") {
		t.Errorf("after %d readings: %v", n, o.Err)
	}
}

// A document that was kept is there for the next attempt, and for no other slice.
func TestKeep(t *testing.T) {
	v := &scripted{tables: []extract.Table{letters("letters", record.Merge)}, objects: object("o")}
	text := strings.Repeat("a document as it was sent ", 100_000)
	var found []string
	v.read = func(ctx context.Context, _ extract.Slice, out *extract.Out) error {
		r, err := out.Kept(ctx, "export.json")
		if errors.Is(err, fault.NotFound) {
			found = append(found, "nothing")
			broken := io.MultiReader(strings.NewReader("half"), errorReader{})
			if err := out.Keep(ctx, "export.json", broken); err == nil {
				t.Error("a reader that fails was kept")
			}
			if _, err := out.Kept(ctx, "export.json"); !errors.Is(err, fault.NotFound) {
				t.Errorf("after a failed write: %v", err)
			}
			return errors.Join(out.Keep(ctx, "export.json", strings.NewReader(text)), errors.New("killed"))
		}
		if err != nil {
			return err
		}
		defer r.Close()
		b, err := io.ReadAll(r)
		if string(b) != text {
			t.Errorf("%d bytes, want %d", len(b), len(text))
		}
		found = append(found, "document")
		return err
	}
	m := extracttest.New(t, env.Map(nil))
	v.run(t, m)
	if _, err := m.Stage.Sweep(t.Context(), "", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	v.run(t, m)
	if diff := cmp.Diff([]string{"nothing", "document"}, found); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, errors.New("the disk broke") }

// A slice whose content is as it was stays loaded, and is not loaded again.
func TestUnchanged(t *testing.T) {
	digest, ids := "1", []string{"a", "b"}
	v := &scripted{tables: []extract.Table{letters("letters", record.Append)}}
	v.objects = func(extract.Wish) []extract.Object { return []extract.Object{{Name: "live", Again: true}} }
	v.read = func(_ context.Context, _ extract.Slice, out *extract.Out) error {
		if out.Unchanged(digest) {
			return nil
		}
		return rows(out, ids...)
	}
	m := extracttest.New(t, env.Map(nil))
	v.run(t, m)
	v.run(t, m)
	if len(m.Loads) != 1 || m.Outcomes[1].State != warehouse.Loaded {
		t.Fatalf("%d loads, states %s, %s", len(m.Loads), m.Outcomes[0].State, m.Outcomes[1].State)
	}
	if diff := cmp.Diff([]string{"letters|live|loaded|2"}, m.Rows(t, stateOf)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	digest, ids = "2", []string{"c"}
	v.run(t, m)
	if diff := cmp.Diff([]string{"c"}, m.Rows(t, `SELECT id FROM scripted.letters`)); diff != "" {
		t.Errorf("changed: (-want +got):\n%s", diff)
	}
}

// Of a table that is read alone one slice is read at a time; the other comes later.
func TestAlone(t *testing.T) {
	table := letters("letters", record.Merge)
	table.Alone = true
	v := &scripted{tables: []extract.Table{table}, objects: object("a", "b")}
	m := extracttest.New(t, env.Map(nil))
	f := v.function()
	inner := false
	v.read = func(ctx context.Context, s extract.Slice, out *extract.Out) error {
		if s.ID == "b" || inner {
			return rows(out, s.ID)
		}
		inner = true
		o, err := m.Extract.Handle(ctx, f, m.Slices[0]) // b, while a is read
		if err != nil || o.State != warehouse.Planned || o.Until.IsZero() || o.Err != nil {
			t.Errorf("b was read while a was: %s, %v, %v", o.State, o.Err, err)
		}
		return rows(out, s.ID)
	}
	if _, err := m.Extract.Tick(t.Context(), f, extract.Request{Now: now}); err != nil {
		t.Fatal(err)
	}
	first := m.Slices[0]
	m.Slices = m.Slices[1:]
	if _, err := m.Extract.Handle(t.Context(), f, first); err != nil {
		t.Fatal(err)
	}
	if err := m.Drain(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b"}, m.Rows(t, `SELECT id FROM scripted.letters ORDER BY 1`)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Pages of a CSV, the header with each of them in any order, or with the first only.
func TestCSVRows(t *testing.T) {
	pages := []string{"id,v\na,1\nb,2\n", "v,id\n3,c\n", "d,4\ne,5\n"}
	v := &scripted{tables: []extract.Table{letters("letters", record.Merge)}, objects: object("o")}
	v.read = func(_ context.Context, _ extract.Slice, out *extract.Out) error {
		var header []string
		for i, p := range pages {
			h, n, err := out.CSVRows(strings.NewReader(p), part.CSVOptions{Header: header})
			if err != nil {
				return err
			}
			if header == nil {
				header = h
			}
			if want := []int64{2, 1, 2}[i]; n != want {
				t.Errorf("page %d has %d rows, want %d", i, n, want)
			}
			if err := out.Page(fmt.Sprint(i)); err != nil {
				return err
			}
		}
		return nil
	}
	m := extracttest.New(t, env.Map(nil))
	v.run(t, m)
	if diff := cmp.Diff([]string{"a|1", "b|2", "c|3", "d|4", "e|5"}, m.Rows(t, `SELECT id, v FROM scripted.letters ORDER BY 1`)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
