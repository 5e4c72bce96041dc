package local_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/platform/local"
)

func Example() {
	ctx := context.Background()
	home, err := os.MkdirTemp("", "millrace")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(home)
	cloud, err := local.Open(ctx, local.Options{Home: home, Env: env.Map(map[string]string{"SHOP_KEY": "k"}),
		Functions: []*extract.Function{(&shop{}).function(2)}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cloud.Close()
	rep, err := cloud.Run(ctx, local.Request{Function: "shop", Request: extract.Request{Now: noon}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, t := range rep.Tables {
		fmt.Println(t.Table, t.RowsLoaded, "rows, complete up to", t.Mark.Format(time.DateOnly))
	}
	fmt.Println(rep.Outcome)
	// Output:
	// sales 3 rows, complete up to 2026-06-04
	// refunds 3 rows, complete up to 2026-06-04
	// ok
}
