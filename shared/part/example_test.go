package part_test

import (
	"fmt"

	"github.com/millrace-data/millrace/shared/part"
	"github.com/millrace-data/millrace/shared/record"
)

func ExampleEncoder() {
	e := part.NewEncoder(record.Table{Schema: "demo", Name: "orders", Columns: []record.Column{
		{Name: "order_id", Field: "orderId", Type: record.Integer},
		{Name: "amount", Field: "amount", Type: record.Number, Precision: 38, Scale: 9},
		{Name: "sold_at", Field: "soldAt", Type: record.Timestamp, Nullable: true},
	}})
	for _, raw := range []string{
		`{"orderId":1,"amount":12.50,"soldAt":"2026-01-02T03:04:05+01:00","coupon":"X"}`,
		`{"orderId":"two","amount":1}`,
	} {
		line, reject, err := e.JSON(nil, []byte(raw))
		switch {
		case err != nil:
			fmt.Println(err)
		case reject != nil:
			fmt.Println("rejected:", reject.Reason)
		default:
			fmt.Print(string(line))
		}
	}
	// Output:
	// {"order_id":"1","amount":"12.50","sold_at":"2026-01-02 02:04:05","_extra":"{\"coupon\":\"X\"}"}
	// rejected: column order_id: number does not fit a 64-bit integer
}
