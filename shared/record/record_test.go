package record_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-data/millrace/shared/record"
)

func TestSnake(t *testing.T) {
	for field, want := range map[string]string{
		"courseTitle":            "course_title",
		"lineItem/referenceNo":   "line_item_reference_no",
		"BilledCost":             "billed_cost",
		"SKUId":                  "sku_id",
		"oci_ReferenceNumber":    "oci_reference_number",
		"product/Description":    "product_description",
		"PricingCurrency ":       "pricing_currency",
		"ref10":                  "ref10",
		"sfContactId":            "sf_contact_id",
		"ipGeoInfo":              "ip_geo_info",
		"usage/billedQuantity":   "usage_billed_quantity",
		"tags/Oracle-Tags.Owner": "tags_oracle_tags_owner",
		"2ndName":                "_2nd_name",
		"Größe":                  "größe",
		"__x__":                  "x",
		"already_snake":          "already_snake",
		"HTTPServer":             "http_server",
		"":                       "_",
		"???":                    "_",
	} {
		if got := record.Snake(field); got != want {
			t.Errorf("Snake(%q) = %q, want %q", field, got, want)
		}
	}
}

type base struct {
	ID string `field:"id" key:"true" doc:"The id."`
}

type row struct {
	base
	N     int64           `field:"n"`
	OK    *bool           `field:"isOK"`
	At    time.Time       `field:"at"`
	Day   *time.Time      `field:"day" date:"true"`
	Cost  record.Decimal  `field:"cost" decimal:"18,2"`
	Rate  *record.Decimal `field:"rate"`
	Extra *record.JSON    `field:"moreInfo" pii:"email"`
	Plan  int64           `field:"plan" mnpi:"true"`
	Other string          `field:"odd name" column:"other"`
}

func TestColumns(t *testing.T) {
	want := []record.Column{
		{Name: "id", Field: "id", Type: record.Text, Doc: "The id."},
		{Name: "n", Field: "n", Type: record.Integer},
		{Name: "is_ok", Field: "isOK", Type: record.Boolean, Nullable: true},
		{Name: "at", Field: "at", Type: record.Timestamp},
		{Name: "day", Field: "day", Type: record.Date, Nullable: true},
		{Name: "cost", Field: "cost", Type: record.Number, Precision: 18, Scale: 2},
		{Name: "rate", Field: "rate", Type: record.Number, Precision: 38, Scale: 9, Nullable: true},
		{Name: "more_info", Field: "moreInfo", Type: record.Document, Nullable: true, PII: "email"},
		{Name: "plan", Field: "plan", Type: record.Integer, MNPI: true},
		{Name: "other", Field: "odd name", Type: record.Text},
	}
	if diff := cmp.Diff(want, record.Columns[row]()); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"id"}, record.Key[row]()); diff != "" {
		t.Errorf("key (-want +got):\n%s", diff)
	}
}

func TestColumnsPanics(t *testing.T) {
	for name, read := range map[string]func() []record.Column{
		"no field tag": record.Columns[struct{ X string }],
		"no column type": record.Columns[struct {
			X float64 `field:"x"`
		}],
		"decimal tag": record.Columns[struct {
			X record.Decimal `field:"x" decimal:"2,9"`
		}],
		"decimal no text": record.Columns[struct {
			X record.Decimal `field:"x" decimal:"money"`
		}],
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			read()
		}()
	}
}

func ExampleColumns() {
	type login struct {
		ID string         `field:"id" key:"true"`
		At time.Time      `field:"createdAt"`
		Ip *string        `field:"ipAddress" pii:"ip"`
		Ms record.Decimal `field:"tookMs" decimal:"12,3"`
	}
	for _, c := range record.Columns[login]() {
		fmt.Println(c.Name, c.Type, c.Nullable)
	}
	// Output:
	// id text false
	// created_at timestamp false
	// ip_address text true
	// took_ms decimal false
}

func TestClasses(t *testing.T) {
	table := record.Table{Columns: record.Columns[row]()}
	if diff := cmp.Diff(map[string]string{"more_info": "email", "plan": "mnpi"}, table.Classes()); diff != "" {
		t.Errorf("classes (-want +got):\n%s", diff)
	}
	table.MNPI = true
	if got := table.Classes()[record.AnyColumn]; got != record.ClassMNPI {
		t.Errorf("class of every column is %q, want mnpi", got)
	}
}
