package chain_test

import (
	"fmt"
	"time"

	"github.com/millrace-data/millrace/shared/chain"
)

func ExampleDecode() {
	body := chain.ArrivalEvent("stage", "oci/cost/manifest.json", "17", time.Now())
	events, err := chain.Decode(body)
	fmt.Println(err)
	for _, e := range events {
		fmt.Println(e.ID, e.Arrival.Key)
	}
	// Output:
	// <nil>
	// gs://stage/oci/cost/manifest.json#17 oci/cost/manifest.json
}
