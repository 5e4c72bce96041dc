package ociusage_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/functions/ociusage"
	"github.com/millrace-data/millrace/functions/ociusage/ociusagetest"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/extract/extracttest"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest/resttest"
)

var (
	march = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	april = march.AddDate(0, 1, 0)
)

// bench is a twin behind faults, and a mill that reads it.
type bench struct {
	*extracttest.Mill
	twin   *ociusagetest.Server
	faults *resttest.Faults
}

func start(t *testing.T, o ociusagetest.Options) *bench {
	t.Helper()
	twin := ociusagetest.New(o)
	faults := resttest.Wrap(twin)
	server := httptest.NewServer(faults)
	t.Cleanup(server.Close)
	return &bench{extracttest.New(t, env.Map(ociusagetest.Env(server.URL))), twin, faults}
}

// run reads what is due and returns the outcomes of its slices.
func (b *bench) run(t *testing.T, tables ...string) []extract.Outcome {
	t.Helper()
	b.Outcomes = nil
	if err := b.Run(t.Context(), ociusage.Function, extract.Request{Tables: tables, Now: april}); err != nil {
		t.Fatal(err)
	}
	return b.Outcomes
}

// amounts are the columns that the twin's oracle adds up.
var amounts = map[string]string{
	"cost_report": "cost_my_cost", "usage_report": "usage_billed_quantity", "focus_report": "billed_cost",
}

// balanced fails unless the warehouse holds exactly what the bucket does.
func (b *bench) balanced(t *testing.T, table string) {
	t.Helper()
	correction := "line_item_is_correction"
	if table == "focus_report" {
		correction = "oci_back_reference_number IS NOT NULL"
	}
	got := b.Rows(t, fmt.Sprintf(`SELECT count(DISTINCT _source), count(*), count(*) FILTER (%s),
		count(*) FILTER (tags IS NOT NULL AND tags::VARCHAR <> '{}'), sum(%s::DECIMAL(38,15)) FROM oci.%s`, correction, amounts[table], table))
	cells := strings.Split(got[0], "|")
	sum, _ := new(big.Rat).SetString(cells[4])
	cells[4] = strings.TrimSuffix(strings.TrimRight(sum.FloatString(18), "0"), ".")
	want := b.twin.Expect(table)
	line := fmt.Sprintf("%d|%d|%d|%d|%s", want.Files, want.Rows, want.Corrections, want.Tagged, want.Amount)
	if diff := cmp.Diff(line, strings.Join(cells, "|")); diff != "" {
		t.Errorf("%s: files, rows, corrections, tagged, amount (-want +got):\n%s", table, diff)
	}
}

func TestAllReportsBalance(t *testing.T) {
	b := start(t, ociusagetest.Options{Seed: 1, PageSize: 3})
	for table := range amounts {
		b.twin.Generate(ociusagetest.Plan{Table: table, From: march, Files: 4, Rows: 150, Parts: 2})
	}
	for _, o := range b.run(t) {
		if o.State != "staged" {
			t.Errorf("slice %s: %s %v", o.Slice.ID, o.State, o.Err)
		}
	}
	for table := range amounts {
		b.balanced(t, table)
	}
	if again := b.run(t); len(again) > 0 {
		t.Errorf("the second run read %d slices again", len(again))
	}
}

func TestCellsArriveExactly(t *testing.T) {
	b := start(t, ociusagetest.Options{Seed: 2})
	name := b.twin.Generate(ociusagetest.Plan{Table: "cost_report", From: march, Files: 4, Rows: 100})[3]
	long := "12345678901234567890"
	b.twin.Edit(name, ociusagetest.Set(1, "usage/billedQuantity", long), ociusagetest.Set(1, "cost/unitPrice", "0.000000000000001"),
		ociusagetest.Set(1, "cost/myCost", ""), ociusagetest.Set(1, "product/Description", "says \"a, b\"\nand c"))
	b.run(t, "cost_report")
	rows, err := b.twin.Rows(name)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i, r := range rows {
		start, _ := time.Parse("2006-01-02T15:04Z", r["lineItem/intervalUsageStart"])
		want = append(want, strings.Join([]string{fmt.Sprint(i + 1), r["lineItem/referenceNo"], start.Format(time.DateTime),
			null(r["lineItem/backreferenceNo"]), fixed(r["usage/billedQuantity"]), fixed(r["cost/unitPrice"]), fixed(r["cost/myCost"]),
			null(r["product/Description"]), r["lineItem/isCorrection"], null(r["tags/Oracle-Tags.CreatedBy"]), null(r["tags/cost center"])}, "|"))
	}
	got := b.Rows(t, `SELECT _row, line_item_reference_no, line_item_interval_usage_start, line_item_backreference_no, usage_billed_quantity,
		cost_unit_price, cost_my_cost, product_description, line_item_is_correction,
		json_extract_string(tags, '$."tags/Oracle-Tags.CreatedBy"'), json_extract_string(tags, '$."tags/cost center"')
		FROM oci.cost_report WHERE _source = ? ORDER BY _row`, name)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func null(s string) string {
	if s == "" {
		return "null"
	}
	return s
}

// fixed is a number with 18 digits after the point, as the warehouse prints it.
func fixed(s string) string {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return "null"
	}
	return r.FloatString(18)
}

func TestHeaders(t *testing.T) {
	const head = "lineItem/referenceNo,lineItem/intervalUsageStart,cost/productSku,cost/myCost ,cost/currencyCode"
	for _, c := range []struct{ name, header, row, query, want string }{
		{"tags that differ by case only", head + ",tags/team,tags/Team", "r,2026-03-01T03:00Z,B1,1.5,USD,a,b",
			`SELECT json_extract_string(tags, '$."tags/team"'), json_extract_string(tags, '$."tags/Team"') FROM oci.cost_report`, "a|b"},
		{"tags without a value", head + ",tags/team", "r,2026-03-01T03:00Z,B1,1.5,USD,", `SELECT tags FROM oci.cost_report`, "null"},
		{"a column of tomorrow", head + ",cost/newThing", "r,2026-03-01T03:00Z,B1,1.5,USD,x", `SELECT cost_new_thing FROM oci.cost_report`, "x"},
		{"another order, and a space in a header", "cost/currencyCode,cost/myCost ,cost/productSku,lineItem/intervalUsageStart,lineItem/referenceNo",
			"EUR,-1.5,B1,2026-03-01T03:00Z,r", `SELECT line_item_reference_no, cost_currency_code, cost_my_cost < 0 FROM oci.cost_report`, "r|EUR|true"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := start(t, ociusagetest.Options{})
			b.twin.PutCSV("reports/cost-csv/1.csv.gz", c.header+"\n"+c.row+"\n")
			if o := b.run(t, "cost_report"); len(o) != 1 || o[0].State != "staged" || o[0].Rejected != 0 {
				t.Fatalf("got %+v, want one slice staged without rejects", o)
			}
			if diff := cmp.Diff([]string{c.want}, b.Rows(t, c.query)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFocusSample(t *testing.T) {
	sample, err := os.ReadFile("../../../shared/data/focus_sample.csv")
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the FinOps Foundation's sample is not here")
	}
	if err != nil {
		t.Fatal(err)
	}
	b := start(t, ociusagetest.Options{})
	b.twin.PutCSV("FOCUS Reports/2024/09/30/0001000000760749-00001.csv.gz", string(sample))
	o := b.run(t, "focus_report")
	if len(o) != 1 || o[0].State != "staged" || o[0].Rows != 1000 || o[0].Rejected != 0 {
		t.Fatalf("got %+v, want 1000 rows and no reject", o)
	}
	b.balanced(t, "focus_report")
	got := b.Rows(t, `SELECT count(*) FILTER (charge_class IS NULL), count(*) FILTER (availability_zone IS NULL), count(tags),
		count(*) FILTER (json_extract_string(tags, '$.application') IS NOT NULL) > 0, count(DISTINCT id) > 900, min(charge_period_start) >= '2024-09-01' FROM oci.focus_report`)
	if diff := cmp.Diff([]string{"1000|893|711|true|true|true"}, got); diff != "" {
		t.Errorf("nulls, tags, ids (-want +got):\n%s", diff)
	}
}

func TestNoUsageReportsIsFine(t *testing.T) {
	b := start(t, ociusagetest.Options{})
	if o := b.run(t, "usage_report"); len(o) > 0 {
		t.Errorf("got %d slices from an empty prefix", len(o))
	}
}

func TestLabelsOfObjectsDoNotMatter(t *testing.T) {
	for name, o := range map[string]ociusagetest.Options{
		"Content-Encoding gzip": {Encoded: true}, "no MD5": {Multipart: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, o)
			b.twin.Generate(ociusagetest.Plan{Table: "focus_report", From: march, Files: 2, Rows: 50})
			b.run(t, "focus_report")
			b.balanced(t, "focus_report")
		})
	}
}

func TestNewVersionOfAnObjectIsRead(t *testing.T) {
	b := start(t, ociusagetest.Options{})
	name := b.twin.Generate(ociusagetest.Plan{Table: "cost_report", From: march, Files: 1, Rows: 5})[0]
	b.run(t, "cost_report")
	b.twin.Put(name, bytes.Clone(b.twin.Bytes(name)))
	if o := b.run(t, "cost_report"); len(o) != 1 || o[0].State != "staged" || !strings.HasSuffix(o[0].Slice.ID, "@"+b.twin.ETag(name)) {
		t.Errorf("got %+v, want the new version as a slice of its own", o)
	}
}

// kind is the name of an error's kind, for tables of tests.
func kind(err error) string {
	if err == nil {
		return ""
	}
	return fault.Of(err).Error()
}
