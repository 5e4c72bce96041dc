package thoughtindustries

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions/thoughtindustries/thoughtindustriestest"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
	"github.com/millrace-data/millrace/shared/rest/resttest"
)

type twinOptions = thoughtindustriestest.Options

var (
	twinFrom = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	twinTo   = twinFrom.AddDate(0, 0, 7)
)

// reader pages through one feed with the connector's own page logic, without an
// engine. After each page it forgets all but the cursor, as an invocation does.
type reader struct {
	t     *testing.T
	twin  http.Handler
	slug  string
	rows  []string // canonical
	keys  map[string]int
	warns int
}

func newReader(t *testing.T, twin http.Handler, slug string) *reader {
	return &reader{t: t, twin: twin, slug: slug, keys: map[string]int{}}
}

func (r *reader) get(query string) *httptest.ResponseRecorder {
	req := httptest.NewRequest("GET", "/incoming/v2/events/"+r.slug+"?"+query, nil)
	req.Header.Set("Authorization", "Bearer "+thoughtindustriestest.DefaultKey)
	w := httptest.NewRecorder()
	r.twin.ServeHTTP(w, req)
	return w
}

func (r *reader) read(from, to time.Time) error {
	cursor := encode(place{End: to.UnixMilli() - 1})
	for {
		var at place
		if err := resume(cursor, &at); err != nil {
			return err
		}
		if at.Done {
			return nil
		}
		next, err := r.page(newPage(from.UnixMilli(), at))
		if err != nil {
			return err
		}
		cursor = encode(next)
	}
}

func (r *reader) page(p *page) (place, error) {
	query := fmt.Sprintf("startDate=%d&endDate=%d", p.from, p.at.End)
	if p.at.Next != "" {
		query += "&cursor=" + p.at.Next
	}
	info, err := rest.Rows(r.get(query).Body, "events", func(raw []byte) error {
		key, fresh, err := p.add(raw)
		if fresh {
			r.keys[key]++
			r.rows = append(r.rows, canonical(raw))
		}
		return err
	})
	if err != nil {
		return place{}, err
	}
	a, err := decodeAnswer(info)
	if err != nil {
		return place{}, err
	}
	at, warn, err := p.next(a)
	if warn {
		r.warns++
	}
	return at, err
}

// canonical is a row with its members in order.
func canonical(raw []byte) string {
	var v any
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		panic(err)
	}
	out, _ := json.Marshal(v)
	return string(out)
}

func tally(rows []string) map[string]int {
	n := map[string]int{}
	for _, r := range rows {
		n[r]++
	}
	return n
}

func oracle(s *thoughtindustriestest.Server, table string) (rows []string) {
	for raw := range s.Raw(table) {
		rows = append(rows, canonical(raw))
	}
	return rows
}

// check fails unless the rows are the twin's, each as often as there, each with a
// key of its own.
func (r *reader) check(s *thoughtindustriestest.Server) {
	r.t.Helper()
	want, got := tally(oracle(s, r.slug)), tally(r.rows)
	if !maps.Equal(got, want) {
		r.t.Errorf("%s: got %d events (%d different), want %d (%d different)", r.slug, len(r.rows), len(got), s.Count(r.slug), len(want))
	}
	if len(r.keys) != len(r.rows) {
		r.t.Errorf("%s: %d events have %d keys", r.slug, len(r.rows), len(r.keys))
	}
}

func TestEveryEventOnce(t *testing.T) {
	for name, o := range map[string]twinOptions{
		"as clients see it":      {},
		"as the reference says":  {Envelope: thoughtindustriestest.Wrapped},
		"as pagination says":     {Envelope: thoughtindustriestest.Meta},
		"without hasMore":        {NoMore: true},
		"without anything":       {NoMore: true, NoCursor: true},
		"no cursor at the end":   {NoLastCursor: true},
		"rows shuffled":          {Shuffle: true},
		"dense":                  {Events: 9_000, To: twinFrom.AddDate(0, 0, 1)},
		"sparse":                 {Events: 1},
		"empty":                  {Events: -1},
		"pages as long as a day": {Events: 100},
		"small pages, shuffled":  {PageSize: 9, Shuffle: true, Events: 80},
	} {
		t.Run(name, func(t *testing.T) {
			s := thoughtindustriestest.New(o)
			for _, slug := range []string{"courseAction", "login"} {
				r := newReader(t, s, slug)
				if err := r.read(twinFrom, twinTo); err != nil {
					t.Fatal(err)
				}
				r.check(s)
				if r.warns > 0 {
					t.Errorf("%d warnings, want none: no timestamp fills a page", r.warns)
				}
			}
		})
	}
}

// Days read one by one have every event once: no window shares a millisecond.
func TestDaysDoNotOverlap(t *testing.T) {
	s := thoughtindustriestest.New(twinOptions{})
	r := newReader(t, s, "visit")
	for d := twinFrom; d.Before(twinTo); d = d.Add(day) {
		if err := r.read(d, d.Add(day)); err != nil {
			t.Fatal(err)
		}
	}
	r.check(s)
}

// The two known ways of paging lose events of the timestamp that a page ends in.
// This is why the connector has its own.
func TestKnownWaysLoseEvents(t *testing.T) {
	s := thoughtindustriestest.New(twinOptions{})
	type answer struct {
		PageInfo struct {
			Cursor  string
			HasMore bool
		}
		Events []struct{ Timestamp time.Time }
	}
	for name, next := range map[string]func(query string, a answer) string{
		"cursor": func(query string, a answer) string {
			return query + "&cursor=" + a.PageInfo.Cursor
		},
		"sliding by a millisecond": func(query string, a answer) string {
			last := a.Events[len(a.Events)-1].Timestamp.UnixMilli() - 1
			return query[:strings.Index(query, "&endDate=")] + "&endDate=" + strconv.FormatInt(last, 10)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReader(t, s, "login")
			first := fmt.Sprintf("startDate=%d&endDate=%d", twinFrom.UnixMilli(), twinTo.UnixMilli()-1)
			n := 0
			for query := first; ; {
				var a answer
				if err := json.Unmarshal(r.get(query).Body.Bytes(), &a); err != nil {
					t.Fatal(err)
				}
				n += len(a.Events)
				if !a.PageInfo.HasMore {
					break
				}
				query = next(query, a)
				if name == "cursor" {
					query = first + query[strings.LastIndex(query, "&cursor="):]
				}
			}
			if want := s.Count("login"); n >= want {
				t.Errorf("got %d of %d events: the twin has lost its trap", n, want)
			}
		})
	}
}

// Equal events are told apart by number only, and some of them cross a page.
func TestEqualEventsAcrossPages(t *testing.T) {
	s := thoughtindustriestest.New(twinOptions{Events: -1})
	at := twinFrom.Add(time.Hour)
	event := map[string]any{"timestamp": at.Format(time.RFC3339), "user": "a@example.com", "event": "visit"}
	for range 70 {
		s.Add("visit", event)
	}
	for i := range 60 { // newer, so that the page ends amid the equal ones
		s.Add("visit", map[string]any{"timestamp": at.Add(time.Duration(i+1) * time.Second).Format(time.RFC3339), "n": i})
	}
	s.Add("visit", map[string]any{"timestamp": at.Add(-time.Second).Format(time.RFC3339)})
	r := newReader(t, s, "visit")
	if err := r.read(twinFrom, twinTo); err != nil {
		t.Fatal(err)
	}
	r.check(s)
	digest, _ := digest([]byte(`{"event":"visit","timestamp":"2025-01-01T01:00:00Z","user":"a@example.com"}`))
	for n := 1; n <= 70; n++ {
		if key := fmt.Sprintf("%s-%d", digest, n); r.keys[key] != 1 {
			t.Fatalf("key %s is there %d times, want once", key, r.keys[key])
		}
	}
}

func TestMoreThanAPageInOneTimestamp(t *testing.T) {
	for name, o := range map[string]twinOptions{"with a cursor": {Events: -1}, "without": {Events: -1, NoCursor: true}} {
		t.Run(name, func(t *testing.T) {
			s := thoughtindustriestest.New(o)
			at := twinFrom.Add(time.Hour)
			s.Late("visit", at.Add(time.Second), 3)
			s.Late("visit", at, 250)
			s.Late("visit", at.Add(-time.Second), 30)
			r := newReader(t, s, "visit")
			if err := r.read(twinFrom, twinTo); err != nil {
				t.Fatal(err)
			}
			if r.warns != 1 {
				t.Errorf("%d warnings, want 1", r.warns)
			}
			if got := len(r.rows); got != 3+100+30 {
				t.Errorf("got %d events, want all 33 around and the 100 the vendor gives of the crowded one", got)
			}
		})
	}
}

// A vendor whose cursor does page inside one timestamp is followed there.
func TestCursorInsideOneTimestamp(t *testing.T) {
	at := time.Date(2025, 1, 1, 1, 0, 0, 0, time.UTC)
	twin := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := 0
		fmt.Sscanf(r.URL.Query().Get("cursor"), "n%d", &from)
		if end := r.URL.Query().Get("endDate"); end < strconv.FormatInt(at.UnixMilli(), 10) {
			from = 250
		}
		var rows []string
		for i := from; i < min(from+100, 250); i++ {
			rows = append(rows, fmt.Sprintf(`{"timestamp":%q,"n":%d}`, at.Format(time.RFC3339), i/2))
		}
		fmt.Fprintf(w, `{"pageInfo":{"cursor":"n%d","hasMore":%t},"events":[%s]}`, from+len(rows), from+len(rows) < 250, strings.Join(rows, ","))
	})
	r := newReader(t, twin, "visit")
	if err := r.read(twinFrom, twinTo); err != nil {
		t.Fatal(err)
	}
	if len(r.rows) != 250 || len(r.keys) != 250 {
		t.Errorf("got %d events with %d keys, want 250", len(r.rows), len(r.keys))
	}
}

// An event that arrives while we page is read if it is older than the page, once.
func TestEventsArriveWhilePaging(t *testing.T) {
	s := thoughtindustriestest.New(twinOptions{})
	early, boundary := twinFrom.Add(time.Hour), time.Time{}
	r := newReader(t, s, "login")
	s.Inject(
		resttest.Fault{Path: "login", Do: resttest.Then(func() { s.Late("login", early, 2) })},
		resttest.Fault{Path: "login", After: 1, Do: resttest.Then(func() { s.Late("login", boundary, 3) })})
	var first struct {
		Events []struct{ Timestamp time.Time }
	}
	if err := json.Unmarshal(r.get(fmt.Sprintf("startDate=%d&endDate=%d", twinFrom.UnixMilli(), twinTo.UnixMilli()-1)).Body.Bytes(), &first); err != nil {
		t.Fatal(err)
	}
	boundary = first.Events[99].Timestamp
	if err := r.read(twinFrom, twinTo); err != nil {
		t.Fatal(err)
	}
	r.check(s)
}

func TestPagingThatCannotBeTrusted(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault resttest.Fault
		o     twinOptions
		want  string
	}{
		{"page repeated", resttest.Fault{After: 2, Do: resttest.Again()}, twinOptions{}, "got one of"},
		{"bounds ignored", resttest.Fault{Do: resttest.Rewrite(func([]byte) []byte {
			return []byte(`{"events":[{"timestamp":"2024-12-31T23:59:59.999Z"}]}`)
		})}, twinOptions{}, "got one of 2024-12-31T23:59:59.999Z"},
		{"empty page amid", resttest.Fault{After: 2, Do: thoughtindustriestest.EmptyPage()}, twinOptions{}, "gone"},
		{"empty page first", resttest.Fault{Do: thoughtindustriestest.EmptyPage()}, twinOptions{}, "none of it"},
		{"no timestamp", resttest.Fault{After: 1, Do: thoughtindustriestest.BadValue("timestamp", "null")}, twinOptions{}, "no readable timestamp"},
		{"timestamp is no time", resttest.Fault{Do: thoughtindustriestest.BadValue("timestamp", `"yesterday"`)}, twinOptions{}, "no readable timestamp"},
		{"timestamp too fine", resttest.Fault{Do: thoughtindustriestest.BadValue("timestamp", `"2025-01-07T23:00:00.0001Z"`)}, twinOptions{}, "finer than a millisecond"},
		{"broken row", resttest.Fault{After: 1, Do: thoughtindustriestest.BrokenRow()}, twinOptions{}, "not valid JSON"},
		{"HTML", resttest.Fault{Do: resttest.HTML()}, twinOptions{}, "HTML"},
		{"pageInfo is a list", resttest.Fault{Do: resttest.Swap(`"pageInfo":{`, `"pageInfo":[],"x":{`)}, twinOptions{}, "pageInfo"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := thoughtindustriestest.New(c.o)
			s.Inject(c.fault)
			r := newReader(t, s, "login")
			err := r.read(twinFrom, twinTo)
			if !errors.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want fault.Corrupt with %q", err, c.want)
			}
			if s.Fired() != 1 {
				t.Errorf("fault happened %d times, want once", s.Fired())
			}
		})
	}
}

func TestCursorThatDoesNotAdvance(t *testing.T) {
	at := place{End: twinFrom.UnixMilli(), Next: "same"}
	p := newPage(twinFrom.UnixMilli(), at)
	if _, _, err := p.add([]byte(`{"timestamp":"2025-01-01T00:00:00Z"}`)); err != nil {
		t.Fatal(err)
	}
	more := true
	if _, _, err := p.next(answer{Cursor: "same", More: &more}); !errors.Is(err, fault.Corrupt) {
		t.Errorf("got %v, want fault.Corrupt", err)
	}
}

// Keys depend on neither the order of members nor of rows nor on page borders.
func TestKeysAreStable(t *testing.T) {
	keys := func(o twinOptions) map[string]int {
		r := newReader(t, thoughtindustriestest.New(o), "login")
		if err := r.read(twinFrom, twinTo); err != nil {
			t.Fatal(err)
		}
		return r.keys
	}
	want := keys(twinOptions{})
	for _, o := range []twinOptions{{Shuffle: true}, {PageSize: 64}, {PageSize: 1000, Envelope: thoughtindustriestest.Wrapped}} {
		if !maps.Equal(keys(o), want) {
			t.Errorf("other keys with %+v", o)
		}
	}
	a, _ := digest([]byte(`{"a":1.0,"b":{"c":"\u00e9","d":null}}`))
	b, _ := digest([]byte(` {"b": {"d":null,"c":"é"}, "a":1}`))
	if a != b || len(a) != 32 {
		t.Errorf("digests %q and %q of one event, want 32 equal hex digits", a, b)
	}
}
