package floor_test

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions/ociusage/ociusagetest"
	"github.com/millrace-data/millrace/scripts/bench/floor"
	"github.com/millrace-data/millrace/scripts/bench/payments/paymentstest"
)

var since = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestREST(t *testing.T) {
	srv := httptest.NewServer(paymentstest.Handler(paymentstest.Options{Since: since, Days: 2, PerDay: 2500}))
	defer srv.Close()
	v := floor.Vendor{URL: srv.URL, Since: since, Days: 2, PerDay: 2500, Page: 1000, Workers: 4}
	if got, err := floor.REST(t.Context(), v, t.TempDir()); got != 5000 || err != nil {
		t.Errorf("got %d rows, error %v, want 5000", got, err)
	}
}

func TestReport(t *testing.T) {
	bucket := ociusagetest.New(ociusagetest.Options{Seed: 1})
	names := bucket.Generate(ociusagetest.Plan{Table: "cost_report", From: since, Files: 1, Rows: 300})
	path := filepath.Join(t.TempDir(), "report.csv.gz")
	if err := os.WriteFile(path, bucket.Bytes(names[0]), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := floor.Report(t.Context(), path, t.TempDir()); got != 300 || err != nil {
		t.Errorf("got %d rows, error %v, want 300", got, err)
	}
}
