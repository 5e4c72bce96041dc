package warehouse_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/warehouse"
	"github.com/millrace-data/millrace/shared/warehouse/duckdb"
)

// A worker claims a slice; a second one is kept out until the lease ends, and the
// first one's fence is worth nothing once the second has its own.
func Example() {
	ctx := context.Background()
	dir, _ := os.MkdirTemp("", "example")
	defer os.RemoveAll(dir)
	w, err := duckdb.Open(ctx, duckdb.Options{Path: filepath.Join(dir, "w.duckdb")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer w.Close()

	w.Plan(ctx, []warehouse.Slice{{Function: "clari", Table: "clari.users", ID: "2026-01-01", Purpose: "live"}})
	first, _ := w.Claim(ctx, "clari", "clari.users", "2026-01-01", "worker-1", time.Hour)
	_, err = w.Claim(ctx, "clari", "clari.users", "2026-01-01", "worker-2", time.Hour)
	fmt.Println(first.Fence, fault.Of(err))

	w.End(ctx, first, warehouse.Planned, nil)
	second, _ := w.Claim(ctx, "clari", "clari.users", "2026-01-01", "worker-2", time.Hour)
	fmt.Println(second.Fence, fault.Of(w.Staged(ctx, first)))
	// Output:
	// 1 stale
	// 2 stale
}
