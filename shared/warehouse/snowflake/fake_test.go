package snowflake_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/warehouse"
	"github.com/millrace-data/millrace/shared/warehouse/snowflake"
	"github.com/millrace-data/millrace/shared/warehouse/snowflake/snowflaketest"
	"github.com/millrace-data/millrace/shared/warehouse/warehousetest"
)

// Each statement goes through the protocol here.
func TestMain(m *testing.M) { warehousetest.Main(m, 8) }

func TestConformance(t *testing.T) {
	warehousetest.Run(t, func(t *testing.T) *warehouse.Warehouse {
		return connect(t, start(t, ""), "")
	})
}

// start serves a stand-in that, where bucket is not "", reads gs://landing from
// that folder.
func start(t *testing.T, bucket string) *snowflaketest.Server {
	t.Helper()
	o := snowflaketest.Options{}
	if bucket != "" {
		o.External = map[string]string{"gcs://landing/": bucket}
	}
	srv := snowflaketest.Start(o)
	t.Cleanup(srv.Close)
	return srv
}

// connect opens the warehouse as a process of its own would.
func connect(t *testing.T, srv *snowflaketest.Server, params string) *warehouse.Warehouse {
	t.Helper()
	dsn := srv.DSN()
	if params != "" {
		dsn += "&" + params
	}
	w, err := snowflake.Open(t.Context(), snowflake.Options{DSN: dsn, Lock: 20 * time.Second, Statement: time.Minute, Sessions: 6})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// recorder is the statements that a stand-in was sent since it was reset.
type recorder struct {
	srv  *snowflaketest.Server
	from int
}

func (r *recorder) reset() { r.from = len(r.srv.Statements()) }

var (
	folder  = regexp.MustCompile(`(millrace_parts"/)[a-z0-9]+/`)
	scratch = regexp.MustCompile(`'file://[^']*/`)
	rejects = regexp.MustCompile(`millrace-rejects-\d+`)
)

// text is what was sent, without what differs from run to run.
func (r *recorder) text() string {
	var b strings.Builder
	before := ""
	for _, q := range r.srv.Statements()[r.from:] {
		if q == before && strings.HasPrefix(q, "PUT") {
			continue // the client asks twice: for what to send, and for where to
		}
		before = q
		q = folder.ReplaceAllString(q, "${1}k3j9x2ab/")
		q = scratch.ReplaceAllString(q, "'file:///scratch/")
		q = rejects.ReplaceAllString(q, "millrace-rejects-1")
		fmt.Fprintf(&b, "%s;\n\n", q)
	}
	return b.String()
}

func open(t *testing.T, bucket string) (*warehouse.Warehouse, *recorder) {
	t.Helper()
	srv := start(t, bucket)
	r := &recorder{srv: srv}
	if bucket == "" {
		return connect(t, srv, ""), r
	}
	w := connect(t, srv, "")
	for _, q := range []string{
		`CREATE SCHEMA IF NOT EXISTS EXT`,
		`CREATE STAGE EXT.LANDING URL = 'gcs://landing/' STORAGE_INTEGRATION = GCS_INT`,
	} {
		if _, err := w.DB().ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	return connect(t, srv, "stage=RAW.EXT.LANDING"), r
}

// external makes the load's parts objects of the bucket.
func external(l warehouse.Load, bucket string) warehouse.Load {
	l.Remote = true
	for i, f := range l.Files {
		key, _ := filepath.Rel(bucket, f)
		l.Files[i] = filepath.ToSlash(key)
	}
	return l
}

func openDSN(t *testing.T, dsn string) (*warehouse.Warehouse, error) {
	return snowflake.Open(t.Context(), snowflake.Options{DSN: dsn, Lock: 20 * time.Second, Statement: time.Minute})
}
