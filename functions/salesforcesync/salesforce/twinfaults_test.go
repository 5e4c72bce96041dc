package salesforce_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions/salesforcesync/salesforcetest"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest/resttest"
	"github.com/millrace-data/millrace/shared/reverse"
)

// TestTwinReadsThroughFaults: what disturbs a read neither loses nor doubles a record.
func TestTwinReadsThroughFaults(t *testing.T) {
	for name, disturb := range map[string]func(p pair){
		"pages expire": func(p pair) {
			once := false
			p.twin.OnRequest(func(_, path string) {
				if strings.Contains(path, "/query/") && !once {
					once = true
					p.twin.ForgetQueries()
				}
			})
		},
		"session ends": func(p pair) {
			once := false
			p.twin.OnRequest(func(_, path string) {
				if strings.Contains(path, "/query/") && !once {
					once = true
					p.twin.ExpireSessions()
				}
			})
		},
		"cut":        func(p pair) { p.twin.Inject(resttest.Fault{Path: "/query", After: 1, Do: resttest.Cut(300)}) },
		"503":        func(p pair) { p.twin.Inject(resttest.Fault{Path: "/query", Do: resttest.Status(503, "<html>")}) },
		"asked wait": func(p pair) { p.twin.Inject(resttest.Fault{Path: "/query", Do: resttest.RetryAfter(503, 0)}) },
	} {
		for _, whole := range []bool{false, true} {
			t.Run(fmt.Sprint(name, whole), func(t *testing.T) {
				p := start(t, salesforcetest.Options{PageMax: 5, BulkPage: 5})
				q := reverse.Query{Object: "Account", Key: "DW_Key__c"}
				p.twin.Seed("Account", []string{"DW_Key__c", "Name"}, 22, func(i int, v []string) {
					v[0], v[1] = fmt.Sprint("k", i), "n"
					if !whole {
						q.Keys = append(q.Keys, v[0])
					}
				})
				disturb(p)
				n := 0
				for r, err := range p.Read(t.Context(), q) {
					if err != nil {
						t.Fatal(err)
					}
					n++
					if r.ID == "" || r.Key == "" {
						t.Errorf("got %+v", r)
					}
				}
				if n != 22 {
					t.Errorf("%d records", n)
				}
			})
		}
	}
}

func TestTwinJobThatBreaks(t *testing.T) {
	rows := make([]reverse.Row, 1000)
	for i := range rows {
		rows[i] = reverse.Row{Key: fmt.Sprint("k", i), Values: []reverse.Value{set("n")}}
	}
	p := start(t, salesforcetest.Options{Fates: []salesforcetest.Fate{{Fail: true, Rows: 600}, {Fail: true, Rows: 200, Garbled: true}, {Gone: true}}})
	up := task(reverse.Upsert, "DW_Key__c", "Name")
	got, job, err := p.bulk(up, rows...)
	states := map[reverse.RowState]int{}
	for _, r := range got {
		states[r.State]++
	}
	if err != nil || job.State != reverse.Broken || job.Message == "" || states[reverse.RowSent] != 600 || states[reverse.RowUnprocessed] != 400 {
		t.Errorf("got %v, %+v, %v", states, job, err)
	}
	got, job, err = p.bulk(up, rows...)
	if err != nil || job.State != reverse.Broken || len(got) != 200 { // the 800 others follow from the counts
		t.Errorf("got %d, %+v, %v", len(got), job, err)
	}
	id, err := p.Create(t.Context(), up)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Upload(t.Context(), id, up, give(rows...)); err != nil {
		t.Fatal(err)
	}
	if err := p.End(t.Context(), id, reverse.Closed); err != nil {
		t.Fatal(err)
	}
	p.twin.Settle()
	if _, err := p.Look(t.Context(), id); !errors.Is(err, fault.NotFound) {
		t.Errorf("got %v", err)
	}
}

// TestTwinRecovery: answers that are lost on the way of a job.
func TestTwinRecovery(t *testing.T) {
	p := start(t, salesforcetest.Options{})
	up := task(reverse.Upsert, "DW_Key__c", "Name")
	row := reverse.Row{Key: "k", Values: []reverse.Value{set("n")}}
	p.twin.Inject(resttest.Fault{Method: "POST", Path: "/jobs/ingest", Do: resttest.Lost()})
	if _, err := p.Create(t.Context(), up); fault.Of(err) != fault.Transient || len(p.twin.Jobs()) != 1 {
		t.Errorf("create: got %v", err)
	}
	id, err := p.Create(t.Context(), up)
	if err != nil {
		t.Fatal(err)
	}
	p.twin.Inject(resttest.Fault{Method: "PUT", Path: "/batches", Do: resttest.Lost()})
	if err := p.Upload(t.Context(), id, up, give(row)); fault.Of(err) != fault.Transient || p.twin.Calls("PUT", "") != 1 {
		t.Errorf("upload: got %v after %d", err, p.twin.Calls("PUT", ""))
	}
	if j, err := p.Look(t.Context(), id); err != nil || j.State != reverse.Open {
		t.Errorf("got %+v, %v", j, err)
	}
	p.twin.Inject(resttest.Fault{Method: "PATCH", Path: "/jobs/ingest", Do: resttest.Lost()})
	if err := p.End(t.Context(), id, reverse.Aborted); fault.Of(err) != fault.Transient {
		t.Errorf("abort: got %v", err)
	}
	if err := p.End(t.Context(), id, reverse.Aborted); err != nil {
		t.Errorf("abort again: got %v", err)
	}
	id, _ = p.Create(t.Context(), up)
	p.twin.ExpireSessions()
	if err := p.Upload(t.Context(), id, up, give(row)); fault.Of(err) != fault.Transient {
		t.Errorf("upload without session: got %v", err)
	}
	if got, _, err := p.bulk(up, row); err != nil || got["k"].State != reverse.RowSent {
		t.Errorf("got %v, %v", got, err)
	}
	p.twin.ForgetJobs()
	if _, err := p.Look(t.Context(), id); !errors.Is(err, fault.NotFound) {
		t.Errorf("got %v", err)
	}
}

func TestTwinQuota(t *testing.T) {
	p := start(t, salesforcetest.Options{})
	if _, err := p.Count(t.Context(), "Account"); err != nil {
		t.Fatal(err)
	}
	p.twin.SetUsage(1000, 1000)
	for name, call := range map[string]func(context.Context) error{
		"count": func(ctx context.Context) error { _, err := p.Count(ctx, "Account"); return err },
		"create": func(ctx context.Context) error {
			_, err := p.Create(ctx, task(reverse.Upsert, "DW_Key__c", "Name"))
			return err
		},
		"upload": func(ctx context.Context) error {
			return p.Upload(ctx, "750000000000001AAA", task(reverse.Upsert, "DW_Key__c", "Name"), give())
		},
		"delete": func(ctx context.Context) error {
			_, err := p.Write(ctx, task(reverse.Delete, "Id"), []reverse.Row{{Key: "001000000000001AAA"}})
			return err
		},
	} {
		err := call(t.Context())
		if until, ok := fault.Until(err); !errors.Is(err, fault.Limited) || !ok || until.Before(time.Now()) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if b := p.Budget(); b.Used < 1000 || b.Max != 1000 {
		t.Errorf("got %+v", b)
	}
}

// TestTwinSecretsStaySecret makes every call fail in every way, with answers that quote
// what was sent.
func TestTwinSecretsStaySecret(t *testing.T) {
	private, public, err := salesforcetest.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	echo := func(status int) resttest.Effect {
		return func(w http.ResponseWriter, r *http.Request, _ resttest.Call) {
			auth := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
			r.ParseForm()
			said := strings.Join([]string{auth, r.PostForm.Get("assertion"), r.PostForm.Get("client_secret")}, " ")
			for _, s := range strings.Fields(said) {
				seen[s] = true
			}
			w.WriteHeader(status)
			fmt.Fprintf(w, `[{"errorCode":"X","message":%q}]`, said)
		}
	}
	ways := [][]string{{"SALESFORCE_CLIENT_SECRET=hush-hush"}, {"SALESFORCE_CLIENT_SECRET=", "SALESFORCE_USERNAME=" + salesforcetest.Username, "SALESFORCE_PRIVATE_KEY=" + private}}
	for _, vars := range ways {
		for _, status := range []int{400, 401, 403, 404} {
			for _, path := range []string{"/token", "/describe", "/query", "/composite", "/jobs"} {
				p := start(t, salesforcetest.Options{ClientSecret: "hush-hush", PublicKey: public}, vars...)
				p.twin.Inject(resttest.Fault{Path: path, Times: -1, Do: echo(status)})
				for _, err := range p.all() {
					for secret := range seen {
						if err != nil && strings.Contains(err.Error(), secret) {
							t.Fatalf("%s %d: a secret in %q", path, status, err)
						}
					}
				}
			}
		}
	}
	if len(seen) < 5 {
		t.Errorf("only %d secrets were quoted", len(seen))
	}
}

// all makes every call once.
func (p pair) all() []error {
	ctx, up := p.t.Context(), task(reverse.Upsert, "DW_Key__c", "Name")
	row := reverse.Row{Key: "k", Values: []reverse.Value{set("n")}}
	_, e1 := p.Count(ctx, "Account")
	_, e2 := p.Describe(ctx, "Account")
	_, e3 := p.read(reverse.Query{Object: "Account", Key: "DW_Key__c", Keys: []string{"k"}})
	_, e4 := p.read(reverse.Query{Object: "Account", Key: "DW_Key__c"})
	_, e5 := p.Write(ctx, up, []reverse.Row{row})
	id, e6 := p.Create(ctx, up)
	if id == "" {
		id = "750000000000001AAA"
	}
	e7, e8 := p.Upload(ctx, id, up, give(row)), p.End(ctx, id, reverse.Aborted)
	_, e9 := p.Look(ctx, id)
	return []error{e1, e2, e3, e4, e5, e6, e7, e8, e9}
}
