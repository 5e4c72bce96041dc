package follow_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/reverse"
	"github.com/millrace-data/millrace/shared/warehouse"
	"github.com/millrace-data/millrace/shared/warehouse/duckdb"
)

// A model is a query and a table. It does nothing until its inputs are loaded, and
// is computed once for what is loaded, however often it is started.
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

	teams := follow.Model{Name: "teams", Query: `SELECT "team", count(*) AS "n" FROM "hr"."people" GROUP BY "team"`, Reads: []string{"hr.people"},
		Table: record.Table{Schema: "analytics", Name: "teams", Key: []string{"team"},
			Columns: []record.Column{{Name: "team", Type: record.Text}, {Name: "n", Type: record.Integer}}}}
	model, err := teams.Function().Open(env.Map(nil), follow.Invocation{Warehouse: w, Chain: loudspeaker{}, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Inputs: []reverse.Input{{Function: "hr", Schema: "hr", Table: "people"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	out, err := model.Handle(ctx, follow.Start{Table: "hr.people"})
	fmt.Println("before the load:", len(out), err)
	hire(ctx, w)
	for range 2 {
		out, err = model.Handle(ctx, follow.Start{Table: "hr.people"})
		fmt.Println(out[0].Name, out[0].State, out[0].Rows, err)
	}
	// Output:
	// before the load: 0 <nil>
	// announced: analytics.teams
	// analytics.teams loaded 2 <nil>
	// announced: analytics.teams
	// analytics.teams loaded 2 <nil>
}

// hire commits a slice of hr.people, as package load does with what a vendor sent.
func hire(ctx context.Context, w *warehouse.Warehouse) {
	people := record.Table{Schema: "hr", Name: "people", Mode: record.Append, Open: true, Key: []string{"name"},
		Columns: []record.Column{{Name: "name", Type: record.Text}, {Name: "team", Type: record.Text}}}
	w.Ensure(ctx, people)
	s, err := w.Stage(ctx, warehouse.Load{Table: people, Now: time.Now(), Slice: warehouse.Slice{Function: "hr", Table: "people", ID: "first", Purpose: "live", Fence: 1},
		Computed: &warehouse.Computed{State: warehouse.State(nil), Query: `SELECT * FROM (VALUES ('ann', 'blue'), ('bob', 'red'), ('eve', 'red')) AS v("name", "team")`}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	if _, err := s.Commit(ctx, nil); err != nil {
		fmt.Println(err)
	}
}

type loudspeaker struct{}

func (loudspeaker) Publish(_ context.Context, m chain.Message) error {
	fmt.Println("announced:", m.Key)
	return nil
}
