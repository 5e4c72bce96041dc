// Package floor is the least that the benchmarked jobs could cost: the same
// bytes brought to disk with plain net/http, then one INSERT … SELECT of DuckDB,
// into columns of the same types.
//
// A floor has no ledger, no fence, no retry, no checks, no rejects and no
// restart: the distance to it is the price of those. It is a yardstick, not an
// example.
package floor

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "github.com/duckdb/duckdb-go/v2" // the SQL driver "duckdb"
	"golang.org/x/sync/errgroup"
)

// Vendor is the provider of payments that the REST floor reads.
type Vendor struct {
	URL     string
	Since   time.Time // the first midnight, UTC
	Days    int
	PerDay  int // rows of each day
	Page    int // rows a page
	Workers int // downloads at the same time
}

// column is a field of a payment and DuckDB's type for it.
type column struct{ field, typ string }

var columns = []column{
	{"id", "VARCHAR"}, {"createdAt", "TIMESTAMP"}, {"customerId", "VARCHAR"}, {"amount", "DECIMAL(18,2)"},
	{"currency", "VARCHAR"}, {"status", "VARCHAR"}, {"method", "VARCHAR"}, {"country", "VARCHAR"},
	{"description", "VARCHAR"}, {"metadata", "JSON"},
}

// REST downloads every page of v into dir and inserts them into a database there.
// It returns the rows inserted.
func REST(ctx context.Context, v Vendor, dir string) (int64, error) {
	g, ctx1 := errgroup.WithContext(ctx)
	g.SetLimit(v.Workers)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: v.Workers}}
	defer client.CloseIdleConnections()
	for day := range v.Days {
		from := v.Since.AddDate(0, 0, day)
		for page := 1; (page-1)*v.Page < v.PerDay; page++ {
			url := fmt.Sprintf("%s/payments?from=%s&to=%s&page=%d", v.URL,
				from.Format(time.RFC3339), from.AddDate(0, 0, 1).Format(time.RFC3339), page)
			path := filepath.Join(dir, fmt.Sprintf("%05d-%05d.json", day, page))
			g.Go(func() error { return download(ctx1, client, url, path) })
		}
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	return insert(ctx, dir, columns, fmt.Sprintf(`SELECT %s FROM (SELECT unnest(payments) AS p
		FROM read_json(%s, format = 'newline_delimited', columns = {payments: 'STRUCT(%s)[]'}))`,
		list(columns, func(c column) string { return `p."` + c.field + `"` }),
		quote(filepath.Join(dir, "*.json")),
		list(columns, func(c column) string { return `"` + c.field + `" ` + c.typ })))
}

func download(ctx context.Context, client *http.Client, url, path string) (err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: status %d", url, resp.StatusCode)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, resp.Body); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// insert runs one INSERT … SELECT into a new database file, with the settings
// that the warehouse driver uses.
func insert(ctx context.Context, dir string, cols []column, query string) (int64, error) {
	db, err := sql.Open("duckdb", filepath.Join(dir, "floor.duckdb")+"?memory_limit=1GiB&preserve_insertion_order=false")
	if err != nil {
		return 0, err
	}
	defer db.Close()
	table := list(cols, func(c column) string { return `"` + c.field + `" ` + c.typ })
	if _, err := db.ExecContext(ctx, "CREATE TABLE floor ("+table+")"); err != nil {
		return 0, err
	}
	res, err := db.ExecContext(ctx, "INSERT INTO floor "+query)
	if err != nil {
		return 0, err
	}
	rows, err := res.RowsAffected()
	if err != nil {
		return 0, err
	}
	return rows, db.Close() // the file is complete only now
}

func list(cols []column, f func(column) string) string {
	var out []string
	for _, c := range cols {
		out = append(out, f(c))
	}
	return strings.Join(out, ", ")
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
