package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millrace-data/millrace/functions/salesforcesync/salesforce"
	"github.com/millrace-data/millrace/functions/salesforcesync/salesforcetest"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/reverse"
	"github.com/millrace-data/millrace/shared/warehouse"
	"github.com/millrace-data/millrace/shared/warehouse/duckdb"
)

// org is Salesforce as the benchmarks use it: a job is done when it is looked at. The
// records are there from the first request on, so that every job does the same.
func org(rows int) http.Handler {
	twin := salesforcetest.New(salesforcetest.Options{Polls: -1})
	seed := sync.OnceFunc(func() {
		twin.Seed("Account", []string{"DW_Key__c", "Name", "Score__c"}, rows, func(i int, v []string) { v[0], v[1], v[2] = fmt.Sprintf(syncKey, i), "Acme", "1" })
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seed()
		twin.ServeHTTP(w, r)
	})
}

const (
	syncMemory = "512MiB" // DuckDB's limit
	syncKey    = "key-%08d"
)

// wanted is a warehouse with a table of n rows that a sync reads. accepted says what
// the destination has accepted of them: all, but for one row in a hundred, or none.
func wanted(ctx context.Context, dir string, n int, accepted bool) (*warehouse.Warehouse, error) {
	w, err := duckdb.Open(ctx, duckdb.Options{Path: filepath.Join(dir, "warehouse.duckdb"), Memory: syncMemory})
	if err != nil {
		return nil, err
	}
	script := []string{`CREATE TABLE wanted AS SELECT printf('key-%08d', i) AS k, CAST(i % 100 AS DECIMAL(18,2)) AS score, substr('ABC', CAST(i % 3 + 1 AS INTEGER), 1) AS tier FROM range(` + strconv.Itoa(n) + `) AS t(i)`}
	if accepted {
		script = append(script, `INSERT INTO millrace.sync_sent ("sync", "object", "key", "accepted") SELECT 'scores', 'Account', k, 'Score__c=' || CAST(score AS VARCHAR) || chr(10) || 'Tier__c=' || tier || chr(10) FROM wanted`,
			`UPDATE wanted SET score = score + 1000 WHERE score = 50`, "CHECKPOINT")
	}
	for _, q := range script {
		if _, err := w.DB().ExecContext(ctx, q); err != nil {
			return nil, errors.Join(err, w.Close())
		}
	}
	return w, nil
}

var syncJob = reverse.Job{Name: "scores", Owner: "bench@example.com", Query: "select k, score, tier from wanted", Object: "Account", Operation: reverse.Upsert,
	ExternalID: "DW_Key__c", Key: "k", Fields: map[string]string{"score": "Score__c", "tier": "Tier__c"}}

// records is a destination whose records are made when they are read: n of them, as
// the warehouse had them before.
type records struct {
	reverse.Destination
	n int
}

func (r records) Describe(context.Context, string) (*reverse.Object, error) {
	return &reverse.Object{Name: "Account", Creatable: true, Updatable: true, Readable: true, Fields: []reverse.Field{
		{Name: "DW_Key__c", Type: reverse.TextType, Length: 80, Nullable: true, Creatable: true, Updatable: true, Key: true, Unique: true},
		{Name: "Score__c", Type: reverse.NumberType, Precision: 18, Scale: 2, Nullable: true, Creatable: true, Updatable: true},
		{Name: "Tier__c", Type: reverse.TextType, Length: 10, Nullable: true, Creatable: true, Updatable: true}}}, nil
}

func (records) Budget() reverse.Budget { return reverse.Budget{} }

func (r records) Count(context.Context, string) (int64, error) { return int64(r.n), nil }

func (r records) Read(_ context.Context, q reverse.Query) iter.Seq2[reverse.Record, error] {
	return func(yield func(reverse.Record, error) bool) {
		for _, k := range q.Keys {
			var i int
			if _, err := fmt.Sscanf(k, syncKey, &i); err != nil || i >= r.n {
				continue
			}
			values := make([]*string, len(q.Fields))
			for f, name := range q.Fields {
				text := map[string]string{"Score__c": strconv.Itoa(i % 100), "Tier__c": "ABC"[i%3 : i%3+1]}[name]
				values[f] = &text
			}
			if !yield(reverse.Record{ID: fmt.Sprintf("001%012dAAA", i), Key: k, Values: values}, nil) {
				return
			}
		}
	}
}

// plan plans the job, with all that belongs to it but a network.
func plan(ctx context.Context, s settings, dir string, accepted bool) (_ int64, err error) {
	w, err := wanted(ctx, dir, s.Rows, accepted)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	there := records{}
	if accepted {
		there.n = s.Rows
	}
	e := reverse.Engine{Warehouse: w, Connect: func(context.Context) (reverse.Destination, error) { return there, nil }, Log: slog.New(slog.DiscardHandler), Now: time.Now, Scratch: dir}
	s.ready()
	p, err := e.Plan(ctx, syncJob, reverse.PlanOptions{})
	if err != nil {
		return 0, err
	}
	return p.Writes() + p.Unchanged, nil
}

func diffOurs(ctx context.Context, s settings, dir string) (int64, error) {
	return plan(ctx, s, dir, true)
}

func planOurs(ctx context.Context, s settings, dir string) (int64, error) {
	return plan(ctx, s, dir, false)
}

// diffFloor is the join alone, in a warehouse that knows what it is to compare.
func diffFloor(ctx context.Context, s settings, dir string) (n int64, err error) {
	w, err := wanted(ctx, dir, s.Rows, true)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	s.ready()
	const join = `CREATE TABLE changed AS SELECT w.* FROM wanted AS w LEFT JOIN millrace.sync_sent AS s ON s."key" = w.k
 WHERE s.accepted IS DISTINCT FROM 'Score__c=' || CAST(w.score AS VARCHAR) || chr(10) || 'Tier__c=' || w.tier || chr(10)`
	if _, err := w.DB().ExecContext(ctx, join); err != nil {
		return 0, err
	}
	err = w.DB().QueryRowContext(ctx, `SELECT count(*) FROM wanted`).Scan(&n)
	return n, err
}

// bulkOurs carries rows through one bulk job by the client, and reads every result.
func bulkOurs(ctx context.Context, s settings, dir string) (n int64, err error) {
	c, err := salesforce.Open(env.Map(salesforcetest.Env(s.URL)), salesforce.Options{Scratch: dir})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	t := reverse.Task{Object: "Account", Operation: reverse.Upsert, Key: "DW_Key__c", Fields: []reverse.Field{{Name: "Score__c", Type: reverse.NumberType}, {Name: "Name", Type: reverse.TextType}}}
	if _, err := c.Describe(ctx, "Account"); err != nil {
		return 0, err
	}
	s.ready()
	id, err := c.Create(ctx, t)
	if err != nil {
		return 0, err
	}
	score, name := "12.5", "Acme, Inc"
	values := []reverse.Value{{Set: true, Text: &score}, {Set: true, Text: &name}}
	rows := func(yield func(reverse.Row, error) bool) {
		key := fmt.Appendf(nil, syncKey, 0) // counted up in place: fmt would be a tenth of what is measured
		for range s.Rows {
			if !yield(reverse.Row{Key: string(key), Values: values}, nil) {
				return
			}
			for d := len(key) - 1; ; d-- {
				if key[d]++; key[d] <= '9' {
					break
				}
				key[d] = '0'
			}
		}
	}
	if err = c.Upload(ctx, id, t, rows); err == nil {
		err = c.End(ctx, id, reverse.Closed)
	}
	for r, e := range c.Results(ctx, id, t) {
		if err = errors.Join(err, e); err != nil || r.State != reverse.RowSent {
			return n, fmt.Errorf("row %s is %s: %w", r.Key, r.State, err)
		}
		n++
	}
	return n, err
}

// bulkFloor does the same by plain requests, with a body that is there already, and
// does not look at the results: what is left is the twin's own time.
func bulkFloor(ctx context.Context, s settings, _ string) (int64, error) {
	var body bytes.Buffer
	body.WriteString("DW_Key__c,Score__c,Name\n")
	for i := range s.Rows {
		fmt.Fprintf(&body, syncKey+",12.5,\"Acme, Inc\"\n", i)
	}
	p := plain{url: s.URL}
	login := salesforcetest.Env(s.URL)
	p.call(ctx, "POST", "/services/oauth2/token", "application/x-www-form-urlencoded", strings.NewReader(
		"grant_type=client_credentials&client_id="+login["SALESFORCE_CLIENT_ID"]+"&client_secret="+login["SALESFORCE_CLIENT_SECRET"]))
	p.token = p.said.Token
	s.ready()
	const jobs = "/services/data/v60.0/jobs/ingest"
	p.call(ctx, "POST", jobs, "application/json", strings.NewReader(`{"object":"Account","operation":"upsert","externalIdFieldName":"DW_Key__c","contentType":"CSV","lineEnding":"LF"}`))
	job := jobs + "/" + p.said.ID
	p.call(ctx, "PUT", job+"/batches", "text/csv", &body)
	p.call(ctx, "PATCH", job, "application/json", strings.NewReader(`{"state":"UploadComplete"}`))
	p.call(ctx, "GET", job, "", nil)
	for _, what := range []string{"successfulResults", "failedResults", "unprocessedrecords"} {
		p.call(ctx, "GET", job+"/"+what, "", nil)
	}
	return int64(s.Rows), p.err
}

// plain is requests without a client around them.
type plain struct {
	url, token string
	said       struct {
		Token string `json:"access_token"`
		ID    string `json:"id"`
	}
	err error
}

func (p *plain) call(ctx context.Context, method, path, kind string, body io.Reader) {
	if p.err != nil {
		return
	}
	req, err := http.NewRequestWithContext(ctx, method, p.url+path, body)
	if err != nil {
		p.err = err
		return
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Authorization", "Bearer "+p.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.err = err
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode > 299 {
		p.err = fmt.Errorf("%s %s: %s", method, path, resp.Status)
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		p.said.ID = ""
		p.err = errors.Join(p.err, json.NewDecoder(resp.Body).Decode(&p.said))
		return
	}
	_, err = io.Copy(io.Discard, resp.Body)
	p.err = errors.Join(p.err, err)
}
