package zuorarevenue

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions/zuorarevenue/zuorarevenuetest"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
	"github.com/millrace-data/millrace/shared/rest/resttest"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// holds are five pages of BI3_RC_HOLD, the last of which is full, read alone.
const (
	hold  = "BI3_RC_HOLD"
	pages = "v2/biviews/" + hold
	rows  = 50
)

func holds(t *testing.T, o zuorarevenuetest.Options, test func(t *testing.T, b *bench)) {
	t.Helper()
	o.Some = rows
	in(t, o, map[string]string{"ZUORA_REVENUE_VIEWS": hold}, test)
}

// TestPassing are faults that the reading gets over, with the whole view as the
// result and as few queries as can be.
func TestPassing(t *testing.T) {
	cached := zuorarevenuetest.Options{}
	slow := zuorarevenuetest.Options{Ahead: 1}
	status := func(after, times, code int, body string) resttest.Fault {
		return resttest.Fault{Path: pages, After: after, Times: times, Do: resttest.Status(code, body)}
	}
	for name, c := range map[string]struct {
		o       zuorarevenuetest.Options
		fault   resttest.Fault
		queries int
		logins  int
	}{
		"pages not cached, a little":             {zuorarevenuetest.Options{Ahead: 1, Misses: 2}, resttest.Fault{}, 1, 1},
		"pages not cached, longer than one asks": {zuorarevenuetest.Options{Ahead: 1, Misses: 9}, resttest.Fault{}, 1, 5},
		"pages not cached, as 500":               {slow, status(2, 3, 500, zuorarevenuetest.NotCached), 1, 1},
		"pages not cached, as 500, for long":     {slow, status(2, 8, 500, zuorarevenuetest.NotCached), 1, 2},
		"a page that fails for long":             {slow, status(2, 14, 502, "<html>"), 1, 3},
		"all cached, but a page fails for long":  {cached, status(2, 8, 503, ""), 1, 1},
		"gateway timeout on page 1":              {cached, resttest.Fault{Path: pages, Do: zuorarevenuetest.GatewayTimeout()}, 1, 1},
		"the same, while the query runs":         {slow, resttest.Fault{Path: pages, Do: zuorarevenuetest.GatewayTimeout()}, 1, 1},
		"page 1 is lost on its way":              {slow, resttest.Fault{Path: pages, Do: resttest.Cut(300)}, 1, 1},
		"no query behind the timeout":            {cached, status(0, 1, 504, "<html>"), 1, 2},
		"no query behind several timeouts":       {cached, status(0, 4, 504, "<html>"), 1, 5},
		"too many queries on page 1":             {cached, status(0, 2, 400, "Rate limit exceeded"), 1, 3},
		"too many queries on page 3":             {slow, status(2, 1, 400, "Rate limit exceeded"), 1, 1},
		"429 on page 3":                          {slow, status(2, 1, 429, ""), 1, 1},
		"a page is cut short":                    {slow, resttest.Fault{Path: pages, After: 3, Do: resttest.Cut(200)}, 1, 1},
		"count fails":                            {cached, resttest.Fault{Path: "count/", Do: resttest.Status(500, "")}, 1, 1},
		"count takes for ever":                   {cached, resttest.Fault{Path: "count/", Do: resttest.Hang()}, 1, 1},
		"no count, and smaller pages":            {zuorarevenuetest.Options{PageMax: 7}, resttest.Fault{Path: "count/", Do: resttest.Status(403, "")}, 1, 1},
		"another query half-way":                 {cached, resttest.Fault{Path: pages, After: 2, Do: otherToken}, 3, 1},
		"a web page instead of a page":           {slow, resttest.Fault{Path: pages, After: 3, Times: 2, Do: resttest.HTML()}, 1, 1},
		"a web page instead of page 1":           {slow, resttest.Fault{Path: pages, Do: resttest.HTML()}, 1, 2},
		"an empty answer instead of a page":      {slow, resttest.Fault{Path: pages, After: 3, Times: 2, Do: resttest.Empty()}, 1, 1},
		"all cached, it says it is not":          {cached, status(2, 8, 400, zuorarevenuetest.NotCached), 1, 1},
		"the same page twice":                    {cached, resttest.Fault{Path: pages, After: 2, Do: resttest.Again()}, 1, 1},
		"the same page twice, while it runs":     {slow, resttest.Fault{Path: pages, After: 3, Times: 2, Do: resttest.Again()}, 1, 2},
		"login fails at first":                   {cached, resttest.Fault{Path: "authenticate", Times: 2, Do: resttest.Status(503, "")}, 1, 3},
	} {
		t.Run(name, func(t *testing.T) {
			holds(t, c.o, func(t *testing.T, b *bench) {
				if c.fault.Do != nil {
					b.twin.Inject(c.fault)
				}
				b.staged(b.run())
				b.equal(hold)
				if w := b.warnings(); len(w) > 0 {
					t.Errorf("warnings: %q", w)
				}
				if c.fault.Do != nil && b.twin.Fired() == 0 {
					t.Error("the fault did not happen")
				}
				if q, l := len(b.twin.Tokens()), b.twin.Logins(); q != c.queries || l != c.logins {
					t.Errorf("%d queries and %d logins, want %d and %d", q, l, c.queries, c.logins)
				}
			})
		})
	}
}

// otherToken answers as if the vendor had forgotten the query and begun another.
func otherToken(w http.ResponseWriter, r *http.Request, c resttest.Call) {
	r.Header.Del("continuation-token")
	c.Next.ServeHTTP(w, r)
}

// TestLasting are faults that end the slice. The run after it, a day later, mends
// everything.
func TestLasting(t *testing.T) {
	view := func(times int, do resttest.Effect) resttest.Fault {
		return resttest.Fault{Path: pages, After: 2, Times: times, Do: do}
	}
	for name, c := range map[string]struct {
		fault resttest.Fault
		kind  error
		says  string
	}{
		"a login that is refused":    {resttest.Fault{Path: "authenticate", Do: resttest.Status(401, "")}, fault.Auth, "ZUORA_REVENUE_USERNAME"},
		"a client name that is none": {resttest.Fault{Path: "authenticate", Times: 3, Do: resttest.Status(400, "")}, fault.Invalid, "ZUORA_REVENUE_CLIENT_NAME"},
		"a login without a token":    {resttest.Fault{Path: "authenticate", Times: 2, Do: resttest.Status(200, "{}")}, fault.Corrupt, "Revpro-Token"},
		"the API is not enabled":     {resttest.Fault{Times: 3, Do: resttest.Status(405, "")}, fault.Invalid, "not enabled"},
		"a role that may not":        {view(1, resttest.Status(403, "")), fault.Auth, "ZUORA_REVENUE_ROLE"},
		"a parameter that is wrong":  {view(1, resttest.Status(400, "Invalid parameter")), fault.Invalid, "400"},
		"a page without a line":      {view(1, resttest.Rewrite(func([]byte) []byte { return []byte("\n") })), fault.Corrupt, "kept in the stage"},
		"a page that is JSON":        {view(1, resttest.Status(200, `{"Message":"failed","status":"Error"}`)), fault.Corrupt, "no CSV"},
		"a web page for ever":        {view(20, resttest.HTML()), fault.Transient, "web page"},
		"gzip that is damaged":       {view(1, resttest.Rewrite(func(b []byte) []byte { return b[:len(b)/2] })), fault.Corrupt, "gzip"},
		"a page that never comes":    {view(20, resttest.Status(500, "")), fault.Transient, "500"},
		"nothing, and a count":       {resttest.Fault{Path: pages, Do: resttest.Status(204, "")}, fault.Transient, "there are 50"},
		"not cached, for ever":       {view(20, resttest.Status(400, zuorarevenuetest.NotCached)), fault.Transient, "not there yet"},
		"page 1 that never comes":    {resttest.Fault{Path: pages, Times: firstTries, Do: resttest.Status(504, "")}, fault.Transient, "504"},
	} {
		t.Run(name, func(t *testing.T) {
			holds(t, zuorarevenuetest.Options{}, func(t *testing.T, b *bench) {
				b.twin.Inject(c.fault)
				out := b.run()
				if o := out[len(out)-1]; o.State != "failed" || !errors.Is(o.Err, c.kind) || !strings.Contains(o.Err.Error(), c.says) {
					t.Fatalf("got %s, %v; want failed, %v that says %q", o.State, o.Err, c.kind, c.says)
				} else if strings.Contains(o.Err.Error(), zuorarevenuetest.Password) {
					t.Error("the error has the password in it")
				}
				b.later(24 * time.Hour)
				for range 5 { // the faults that are left
					if out = b.run(); len(out) > 0 && out[len(out)-1].Err == nil {
						break
					}
				}
				b.staged(out)
				b.equal(hold)
			})
		})
	}
}

// A token that dies is renewed, and the query goes on.
func TestTokenExpires(t *testing.T) {
	holds(t, zuorarevenuetest.Options{}, func(t *testing.T, b *bench) {
		b.twin.Inject(resttest.Fault{Path: pages, After: 2, Do: resttest.Then(b.twin.Expire)})
		b.staged(b.run())
		b.equal(hold)
		if q, l := len(b.twin.Tokens()), b.twin.Logins(); q != 1 || l != 2 {
			t.Errorf("%d queries and %d logins, want 1 and 2", q, l)
		}
	})
}

// A token is renewed before the vendor refuses it.
func TestTokenIsRenewedInTime(t *testing.T) {
	holds(t, zuorarevenuetest.Options{}, func(t *testing.T, b *bench) {
		src, err := b.f.Open(b.Extract.Env, extract.Invocation{Meter: &rest.Meter{}, Scratch: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		s := src.(*source)
		defer s.Close()
		for range 3 {
			if n, err := s.count(t.Context(), hold, "2016-01-01T00:00:00", "2030-01-01T00:00:00"); err != nil || n == nil || *n != rows {
				t.Errorf("got count %v, %v, want %d", n, err, rows)
			}
			b.later(tokenLife + time.Second)
		}
		if n := b.twin.Requests(""); n != 6 {
			t.Errorf("%d requests, want 3 logins and 3 counts: none was refused", n)
		}
	})
}

// A slice that stops is gone on with while its query lives, else read anew.
func TestResume(t *testing.T) {
	for name, c := range map[string]struct {
		wait    time.Duration
		o       zuorarevenuetest.Options
		queries int
	}{
		"at once":                      {0, zuorarevenuetest.Options{Ahead: 1}, 1},
		"after three minutes":          {3 * time.Minute, zuorarevenuetest.Options{Ahead: 1}, 1},
		"stale, after four minutes":    {4 * time.Minute, zuorarevenuetest.Options{Ahead: 1}, 2},
		"forgotten, after ten minutes": {10 * time.Minute, zuorarevenuetest.Options{}, 2},
		"the bare word":                {4 * time.Minute, zuorarevenuetest.Options{Ahead: 1, BareStatus: true}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			holds(t, c.o, func(t *testing.T, b *bench) {
				b.twin.Inject(resttest.Fault{Path: pages, After: 3, Do: resttest.Status(403, "")})
				b.run()
				want := b.expect(hold)
				b.twin.Edit(hold, 1, map[string]string{"rc_hold_comment": "edited"})
				b.twin.Delete(hold, 2)
				if c.queries == 2 {
					want = b.expect(hold)
				}
				b.later(c.wait)
				b.staged(b.run())
				b.same(hold, want)
				if q := len(b.twin.Tokens()); q != c.queries {
					t.Errorf("%d queries, want %d", q, c.queries)
				}
			})
		})
	}
}

// The end of a query is not taken for the end of the data.
func TestQueryThatIsForgotten(t *testing.T) {
	for name, status := range map[string]int{"204": 204, "404": 404, "400": 400} {
		holds(t, zuorarevenuetest.Options{}, func(t *testing.T, b *bench) {
			b.twin.Inject(resttest.Fault{Path: pages, After: 2, Do: func(w http.ResponseWriter, _ *http.Request, _ resttest.Call) {
				b.twin.Forget()
				w.WriteHeader(status)
			}})
			b.staged(b.run())
			b.equal(hold)
			if q := len(b.twin.Tokens()); q != 2 {
				t.Errorf("%s: %d queries, want 2", name, q)
			}
		})
	}
}

// A vendor whose queries die again and again ends the slice, with the reason.
func TestQueryThatDiesAgainAndAgain(t *testing.T) {
	holds(t, zuorarevenuetest.Options{}, func(t *testing.T, b *bench) {
		kill := func(w http.ResponseWriter, r *http.Request, c resttest.Call) {
			b.twin.Forget()
			c.Next.ServeHTTP(w, r)
		}
		b.twin.Inject(resttest.Fault{Path: pages, After: 1, Times: -1, Do: kill})
		out := b.run()
		if o := out[len(out)-1]; o.State != "failed" || !errors.Is(o.Err, fault.Transient) || !strings.Contains(o.Err.Error(), "continuation token") {
			t.Errorf("got %s, %v", o.State, o.Err)
		}
	})
}

// An invocation that is stopped after every page: one query, each page once, and
// one more for each stop, which was asked for while the page before was staged.
func TestStopAfterEveryPage(t *testing.T) {
	holds(t, zuorarevenuetest.Options{}, func(t *testing.T, b *bench) {
		n := 0
		for ; ; n++ {
			ctx, cancel := context.WithCancel(t.Context())
			b.Extract.Point = func(name string) {
				if name == "after_page" {
					cancel()
				}
			}
			err := b.Run(ctx, b.f, req())
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			if o := b.Outcomes[len(b.Outcomes)-1]; o.State == "staged" {
				break
			}
			if n > 10 {
				t.Fatal("it does not come to an end")
			}
		}
		b.equal(hold)
		if queries, asked := len(b.twin.Tokens()), b.twin.Requests(pages); queries != 1 || asked > 6+n {
			t.Errorf("%d queries and %d pages with %d stops, want 1 and 6, and one a stop", queries, asked, n)
		}
	})
}

// All pages are of one moment, whatever happens to the view while they are read.
func TestSnapshot(t *testing.T) {
	holds(t, zuorarevenuetest.Options{}, func(t *testing.T, b *bench) {
		want := b.expect(hold)
		b.twin.Inject(resttest.Fault{Path: pages, After: 1, Do: resttest.Then(func() {
			b.twin.Delete(hold, 0)
			b.twin.Delete(hold, 33)
			b.twin.Edit(hold, 40, map[string]string{"rc_hold_comment": "later"})
			b.twin.Add(hold, 5)
		})})
		b.staged(b.run())
		b.same(hold, want)
		b.later(daily)
		b.staged(b.run())
		b.equal(hold)
	})
}

// Another count is worth a note with both numbers, and no more.
func TestCountDiffers(t *testing.T) {
	for _, count := range []string{"49", "51", "0"} {
		holds(t, zuorarevenuetest.Options{}, func(t *testing.T, b *bench) {
			b.twin.Inject(resttest.Fault{Path: "count/", Do: resttest.Status(200, `{"count":`+count+`}`)})
			b.staged(b.run())
			b.equal(hold)
			if w := b.warnings(); len(w) != 1 || !strings.Contains(w[0], "counted "+count+" rows") || !strings.Contains(w[0], "50 were read") {
				t.Errorf("count %s: warnings %q", count, w)
			}
		})
	}
}

// Two ranges of one view are not read at the same time.
func TestOneQueryAView(t *testing.T) {
	holds(t, zuorarevenuetest.Options{Ahead: 1}, func(t *testing.T, b *bench) {
		tick := func(p extract.Purpose) {
			t.Helper()
			if _, err := b.Extract.Tick(t.Context(), b.f, extract.Request{Tables: []string{strings.ToLower(hold)}, Purpose: p, Now: time.Now().UTC()}); err != nil {
				t.Fatal(err)
			}
		}
		tick(extract.Live)
		b.later(24 * time.Hour)
		tick(extract.Backfill)
		first, second := b.Slices[0], b.Slices[1]
		b.Slices = nil
		asked := false
		b.twin.Inject(resttest.Fault{Path: pages, After: 2, Do: resttest.Then(func() {
			asked = true
			if o, err := b.Extract.Handle(t.Context(), b.f, second); err != nil || o.State != warehouse.Planned || o.Until.IsZero() || o.Requests > 0 {
				t.Errorf("the second range: %s, %d requests, %v, %v; want it planned for later", o.State, o.Requests, o.Err, err)
			}
		})})
		o, err := b.Extract.Handle(t.Context(), b.f, first)
		if err != nil || o.State != "staged" || !asked {
			t.Fatalf("the first range: %s, %v, %v", o.State, o.Err, err)
		}
		if err := b.Drain(t.Context(), b.f); err != nil {
			t.Fatal(err)
		}
		b.equal(hold)
	})
}
