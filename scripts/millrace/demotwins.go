package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/millrace-data/millrace/functions/adaptive"
	"github.com/millrace-data/millrace/functions/adaptive/adaptivetest"
	"github.com/millrace-data/millrace/functions/clari"
	"github.com/millrace-data/millrace/functions/clari/claritest"
	"github.com/millrace-data/millrace/functions/ociusage"
	"github.com/millrace-data/millrace/functions/ociusage/ociusagetest"
	"github.com/millrace-data/millrace/functions/thoughtindustries"
	"github.com/millrace-data/millrace/functions/thoughtindustries/thoughtindustriestest"
	"github.com/millrace-data/millrace/functions/zuorarevenue"
	"github.com/millrace-data/millrace/functions/zuorarevenue/zuorarevenuetest"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/platform/local"
)

// twins are the demo's vendors, served on loopback.
type twins struct {
	vendors []*demoVendor
	servers []*http.Server
	env     []string // what the functions need to reach them
	crm     *destination
}

// demoVendor is a twin and its books.
type demoVendor struct {
	function *extract.Function
	about    string // in the words of a sentence
	twin     http.Handler
	env      func(url string) map[string]string
	holds    func(table string) (rows int64, amount string) // what a table must have, negative where the twin keeps no books; amount "" where nothing is added up
}

func openTwins() (*twins, error) {
	t := &twins{vendors: []*demoVendor{academy(), bills(), sales(), revenue(), planning()}}
	for _, v := range t.vendors {
		url, err := t.serve(v.twin)
		if err != nil {
			t.close()
			return nil, err
		}
		for key, value := range v.env(url) {
			t.env = append(t.env, key+"="+value)
		}
	}
	crm, err := openCRM(t)
	if err != nil {
		t.close()
		return nil, err
	}
	t.crm = crm
	return t, nil
}

// demoFrom is the first of the seven days that the vendors' data is of.
var demoFrom = demoNow.Truncate(24*time.Hour).AddDate(0, 0, -7)

func academy() *demoVendor {
	twin := thoughtindustriestest.New(thoughtindustriestest.Options{Seed: 1, From: demoFrom, To: demoFrom.AddDate(0, 0, 7),
		Events: 1000, Users: 2000, Others: 200, Limit: 10_000_000}) // a quota so large that nothing is paced
	return &demoVendor{function: thoughtindustries.Function, about: "an academy (Thought Industries)", twin: twin,
		env: func(url string) map[string]string {
			return map[string]string{"THOUGHT_INDUSTRIES_BASE_URL": url, "THOUGHT_INDUSTRIES_API_KEY": thoughtindustriestest.DefaultKey}
		},
		holds: func(table string) (int64, string) { return int64(twin.Count(table)), "" }}
}

func bills() *demoVendor {
	twin := ociusagetest.New(ociusagetest.Options{Seed: 1})
	twin.Generate(ociusagetest.Plan{Table: "cost_report", From: demoFrom, Files: 28, Rows: 4000})
	twin.Generate(ociusagetest.Plan{Table: "usage_report", From: demoFrom, Files: 8, Rows: 2000})
	twin.Generate(ociusagetest.Plan{Table: "focus_report", From: demoFrom, Files: 7, Rows: 2000})
	return &demoVendor{function: ociusage.Function, about: "a cloud's bills (Oracle)", twin: twin, env: ociusagetest.Env,
		holds: func(table string) (int64, string) {
			total := twin.Expect(table)
			if amounts["oci."+table] == "" {
				return total.Rows, ""
			}
			return total.Rows, total.Amount
		}}
}

func sales() *demoVendor {
	twin := claritest.New(claritest.Options{Seed: 1, Users: 500, Forecasts: []string{"net_arr", "services"}, Now: func() time.Time { return demoNow }})
	return &demoVendor{function: clari.Function, about: "sales forecasts (Clari)", twin: twin, env: twin.Env,
		holds: func(table string) (int64, string) { return int64(twin.Count(table)), "" }}
}

func revenue() *demoVendor {
	twin := zuorarevenuetest.New(zuorarevenuetest.Options{Seed: 1, Some: 200, Rows: map[string]int{"BI3_RC_SCHD": 25_000, "BI3_RC_LNS": 1500},
		From: demoFrom.AddDate(-1, 0, 0), To: demoFrom})
	return &demoVendor{function: zuorarevenue.Function, about: "contracts and revenue schedules (Zuora)", twin: twin, env: zuorarevenuetest.Env,
		holds: func(table string) (int64, string) { return int64(twin.Count(table)), "" }}
}

func planning() *demoVendor {
	twin := adaptivetest.New(adaptivetest.Options{Seed: 1, Accounts: 5, Levels: 50})
	return &demoVendor{function: adaptive.Function, about: "plans and actuals (Workday Adaptive)", twin: twin, env: twin.Env,
		holds: func(table string) (int64, string) { return int64(twin.Count(table)), "" }}
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

// rows is what the warehouse must hold in the end.
func (t *twins) rows() (n int64) {
	for _, v := range t.vendors {
		for _, table := range v.function.Tables {
			rows, _ := v.holds(table.Name)
			n += max(rows, 0)
		}
	}
	return n
}

// about lists the vendors in a sentence.
func (t *twins) about() string {
	var names []string
	for _, v := range t.vendors {
		names = append(names, v.about)
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
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
var amounts = map[string]string{"oci.cost_report": "cost_my_cost", "oci.focus_report": "billed_cost"}

// compare holds the warehouse against the vendors' own books.
func (d demo) compare(ctx context.Context) (comparison, error) {
	c := comparison{Outcome: local.OK, Equal: true, Warehouse: d.warehouse()}
	w, err := local.OpenWarehouse(ctx, local.Places{Warehouse: c.Warehouse})
	if err != nil {
		return c, err
	}
	defer w.Close()
	for _, v := range d.twins.vendors {
		for _, table := range v.function.Tables {
			t := comparedTo{Table: table.FullName()}
			if t.Vendor, t.Sum = v.holds(table.Name); t.Vendor < 0 {
				continue
			}
			if err := w.DB().QueryRowContext(ctx, count(table)).Scan(&t.Loaded, &t.Distinct, &t.LoadedBy); err != nil {
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

// count is the query for a table's rows, distinct rows and amount.
func count(t extract.Table) string {
	distinct, amount := "count(DISTINCT ("+strings.Join(t.Key, ", ")+"))", "''"
	switch {
	case t.Name == "reporting":
		distinct = "count(DISTINCT (version_id, account_code, level_code, period))"
	case t.File:
		distinct = "count(DISTINCT (_source, _row))"
	case len(t.Key) == 0:
		distinct = "count(*)"
	}
	if column := amounts[t.FullName()]; column != "" {
		amount = fmt.Sprintf("rtrim(rtrim(CAST(sum(%s) AS VARCHAR), '0'), '.')", column)
	}
	return fmt.Sprintf(`SELECT count(*), %s, %s FROM %s`, distinct, amount, t.FullName())
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
