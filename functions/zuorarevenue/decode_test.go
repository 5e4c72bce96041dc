package zuorarevenue

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-data/millrace/shared/fault"
)

const id = "5f0d7c1e-2222-4c1b-9a55-0123456789ab"

func TestTaskState(t *testing.T) {
	for name, c := range map[string]struct{ doc, want string }{
		"active, in full":       {`{"active":[{"task_id":"` + id + `","status":"Running","metric":"12","query_config":{"filter_params":{"fromDate":7}}}],"completed":[],"draining":[],"stale":[]}`, "active"},
		"active, but cancelled": {`{"active":[{"task_id":"` + id + `","status":"Cancelled"}]}`, "cancelled"},
		"completed, an id":      {`{"active":[],"completed":["` + id + `"]}`, "completed"},
		"draining":              {`{"draining":["` + id + `"]}`, "draining"},
		"stale":                 {`{"stale":["` + id + `"],"active":[]}`, "stale"},
		"below result":          {`{"result":{"completed":[{"task_id":"` + id + `"}]},"status":"Success"}`, "completed"},
		"one word":              {`{"task_state":"ACTIVE"}`, "active"},
		"another's":             {`{"active":["` + id[1:] + `"]}`, ""},
		"nothing":               {``, ""},
		"no object":             {`["` + id + `"]`, ""},
	} {
		if got := taskState([]byte(c.doc), id); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func FuzzTaskState(f *testing.F) {
	f.Add([]byte(`{"active":[{"task_id":"x"}],"result":{"stale":["x"]}}`))
	f.Add([]byte(`{"result":{"result":{"result":null}}}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		state := taskState(doc, id)
		if state != "" && !strings.Contains(strings.ToLower(string(doc)), "task_state") && !strings.Contains(string(doc), id) && !strings.Contains(string(doc), `\u`) {
			t.Errorf("%q of a document without the id: %s", state, doc)
		}
	})
}

func TestSpell(t *testing.T) {
	for line, want := range map[string]string{
		"ID,RC_ID\r\n":                "id|rc_id",
		"\ufeffID,\"RC_ID\", NAME \n": "id|rc_id|name",
		"id,name,ID,id":               "id|name|id_2|id_3",
	} {
		if got := strings.Join(spell(line), "|"); got != want {
			t.Errorf("%q: got %s, want %s", line, got, want)
		}
	}
}

func FuzzSpell(f *testing.F) {
	f.Add("ID,RC_ID\n")
	f.Add("a,a,a_2")
	f.Fuzz(func(t *testing.T, line string) {
		names := spell(line)
		if len(names) != strings.Count(line, ",")+1 {
			t.Errorf("%d names of %q", len(names), line)
		}
		sorted := slices.Sorted(slices.Values(names))
		if len(slices.Compact(sorted)) != len(names) {
			t.Errorf("names of %q are not unique: %q", line, names)
		}
	})
}

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   error
	}{
		{200, "ID,NAME", nil}, {204, "", nil}, {400, "Invalid view: operation generated an error", nil},
		{400, `{"Message":"Page still not yet cached"}`, errNotCached}, {500, "Page is not cached", errNotCached},
		{400, "Rate limit exceeded", fault.Limited}, {403, "", fault.Auth}, {429, "", fault.Limited},
		{400, "Too many parallel queries", fault.Limited}, {401, "", errLogin}, {405, "", fault.Invalid}, {500, "rate", nil},
		{200, "<html>", fault.Transient}, {200, "", fault.Transient},
	} {
		if err := classify(c.status, http.Header{}, []byte(c.body)); !errors.Is(err, c.want) {
			t.Errorf("%d %q: got %v, want %v", c.status, c.body, err, c.want)
		}
	}
	if err := classify(429, http.Header{"Retry-After": {"7"}}, nil); err != nil {
		t.Errorf("429 with a time: got %v, want nothing: the client reads the time", err)
	}
}

// What ends at the vendor's limit does not replace a table.
func TestCut(t *testing.T) {
	more, all := int64(queryMax+1), int64(queryMax)
	for _, c := range []struct {
		c    cursor
		want error
	}{
		{cursor{Rows: queryMax, Count: &more}, fault.Refused}, {cursor{Rows: queryMax, Count: &all}, nil},
		{cursor{Rows: queryMax}, nil}, {cursor{Rows: 10, Count: &more}, nil}, // another count alone is a note
	} {
		if err := c.c.cut(); !errors.Is(err, c.want) {
			t.Errorf("%d rows: got %v, want %v", c.c.Rows, err, c.want)
		}
	}
}
