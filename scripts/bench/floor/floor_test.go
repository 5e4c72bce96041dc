package floor_test

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

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

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "export.csv.gz")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	if err := paymentstest.WriteCSV(z, paymentstest.Options{Since: since, Days: 2, PerDay: 2500}); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := floor.File(t.Context(), path, t.TempDir()); got != 5000 || err != nil {
		t.Errorf("got %d rows, error %v, want 5000", got, err)
	}
}
