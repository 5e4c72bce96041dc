package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/millrace-data/millrace/functions/ociusage/ociusagetest"
	"github.com/millrace-data/millrace/functions/thoughtindustries/thoughtindustriestest"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/platform/local"
)

// twins are the demo's vendors, served on loopback.
type twins struct {
	academy *thoughtindustriestest.Server
	bills   *ociusagetest.Server
	servers []*http.Server
	env     []string // what a function needs to reach them
}

var reports = []string{"cost_report", "usage_report", "focus_report"}

func openTwins() (*twins, error) {
	from := demoNow.Truncate(24*time.Hour).AddDate(0, 0, -7)
	t := &twins{
		academy: thoughtindustriestest.New(thoughtindustriestest.Options{Seed: 1, From: from, To: from.AddDate(0, 0, 7),
			Events: 1000, Users: 2000, Others: 200, Limit: 10_000_000}), // a quota so large that nothing is paced
		bills: ociusagetest.New(ociusagetest.Options{Seed: 1}),
	}
	t.bills.Generate(ociusagetest.Plan{Table: "cost_report", From: from, Files: 28, Rows: 4000})
	t.bills.Generate(ociusagetest.Plan{Table: "usage_report", From: from, Files: 8, Rows: 2000})
	t.bills.Generate(ociusagetest.Plan{Table: "focus_report", From: from, Files: 7, Rows: 2000})
	academy, err := t.serve(t.academy)
	if err != nil {
		return nil, err
	}
	bills, err := t.serve(t.bills)
	if err != nil {
		t.close()
		return nil, err
	}
	t.env = []string{"THOUGHT_INDUSTRIES_BASE_URL=" + academy, "THOUGHT_INDUSTRIES_API_KEY=" + thoughtindustriestest.DefaultKey}
	for key, value := range ociusagetest.Env(bills) {
		t.env = append(t.env, key+"="+value)
	}
	return t, nil
}

func (t *twins) serve(h http.Handler) (url string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("serve a twin on loopback: %w", err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	t.servers = append(t.servers, s)
	go s.Serve(l) // ends with close
	return "http://" + l.Addr().String(), nil
}

func (t *twins) close() {
	for _, s := range t.servers {
		s.Close()
	}
}

func (t *twins) rows() (n int64) {
	for _, table := range thoughtindustriestest.Tables() {
		n += int64(t.academy.Count(table))
	}
	for _, table := range reports {
		n += t.bills.Expect(table).Rows
	}
	return n
}

// comparison is what the demo found.
type comparison struct {
	Outcome   string       `json:"outcome"`
	Equal     bool         `json:"equal"`
	Vendors   int64        `json:"rows_at_vendors"`
	Loaded    int64        `json:"rows_in_warehouse"`
	Tables    []comparedTo `json:"tables"`
	Warehouse string       `json:"warehouse"`
}

type comparedTo struct {
	Table    string `json:"table"`
	Vendor   int64  `json:"rows_at_vendor"`
	Loaded   int64  `json:"rows_in_warehouse"`
	Distinct int64  `json:"distinct_rows"` // by key, or by file and line
	Sum      string `json:"amount_at_vendor,omitempty"`
	LoadedBy string `json:"amount_in_warehouse,omitempty"`
}

func (c comparedTo) equal() bool {
	return c.Vendor == c.Loaded && c.Loaded == c.Distinct && c.Sum == c.LoadedBy
}

// amounts are the columns that are added up on both sides. The quantities of
// usage_report are bytes and more: their sum has too many digits for a decimal.
var amounts = map[string]string{"cost_report": "cost_my_cost", "focus_report": "billed_cost"}

// compare holds the warehouse against the vendors' own books.
func (d demo) compare(ctx context.Context) (comparison, error) {
	c := comparison{Outcome: local.OK, Equal: true, Warehouse: d.warehouse()}
	w, err := local.OpenWarehouse(ctx, local.Places{Warehouse: c.Warehouse})
	if err != nil {
		return c, err
	}
	defer w.Close()
	for _, f := range d.a.functions {
		for _, table := range f.Tables {
			t, query := d.twins.expect(table)
			if err := w.DB().QueryRowContext(ctx, query).Scan(&t.Loaded, &t.Distinct, &t.LoadedBy); err != nil {
				return c, fmt.Errorf("count %s: %w", t.Table, err)
			}
			c.Tables = append(c.Tables, t)
			c.Vendors, c.Loaded, c.Equal = c.Vendors+t.Vendor, c.Loaded+t.Loaded, c.Equal && t.equal()
		}
	}
	if !c.Equal {
		c.Outcome = local.Failed
	}
	return c, nil
}

// expect is what the vendor holds of a table, and the query that counts the same
// in the warehouse: rows, distinct rows, amount.
func (t *twins) expect(table extract.Table) (c comparedTo, query string) {
	c.Table = table.FullName()
	if !table.File {
		c.Vendor = int64(t.academy.Count(table.Name))
		return c, fmt.Sprintf(`SELECT count(*), count(DISTINCT (%s)), '' FROM %s`, strings.Join(table.Key, ", "), c.Table)
	}
	amount, total := "''", t.bills.Expect(table.Name)
	c.Vendor = total.Rows
	if column := amounts[table.Name]; column != "" {
		c.Sum = total.Amount
		amount = fmt.Sprintf("rtrim(rtrim(CAST(sum(%s) AS VARCHAR), '0'), '.')", column)
	}
	return c, fmt.Sprintf(`SELECT count(*), count(DISTINCT (_source, _row)), %s FROM %s`, amount, c.Table)
}

// verdict prints the comparison: the demo's result.
func (a *app) verdict(c comparison) error {
	if a.json {
		return a.print(c)
	}
	g := newGrid("TABLE", "AT THE VENDOR#", "IN THE WAREHOUSE#", "DISTINCT#", "")
	for _, t := range c.Tables {
		mark := "="
		if !t.equal() {
			mark = "DIFFERS"
		}
		if t.Sum != "" {
			mark += "  amount " + t.LoadedBy + " = " + t.Sum
		}
		g.row(t.Table, figure(t.Vendor), figure(t.Loaded), figure(t.Distinct), mark)
	}
	if err := g.write(a.out); err != nil {
		return err
	}
	if c.Equal {
		a.say("\nexactly once: %s rows = %s rows", figure(c.Vendors), figure(c.Loaded))
	} else {
		a.say("\nNOT exactly once: the vendors hold %s rows, the warehouse %s", figure(c.Vendors), figure(c.Loaded))
	}
	return nil
}
