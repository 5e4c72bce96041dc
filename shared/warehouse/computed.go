package warehouse

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
)

// Computed is where the rows of a [Load] come from that no vendor sent: a query over
// tables of the same warehouse. The commit holds only if nothing was committed to
// those tables since State was read, so that what the table says of them is true.
type Computed struct {
	Query  string // portable SQL; its columns have the names of the table's
	Inputs []Ledger
	State  string // see [State]
}

// Ledger names the ledger of a table.
type Ledger struct {
	Function string
	Table    string // without schema
}

// ComputedID is the slice of what is computed from inputs in a state: the same
// state is the same slice, whatever the clock says. again numbers those that people
// asked for although the state was computed before; 0 is the first.
func ComputedID(state string, again int) string {
	id := "run-" + state[:16]
	if again > 0 {
		id += fmt.Sprintf("-%d", again)
	}
	return id
}

// State sums up what is committed of tables, as ledger rows: it changes with every
// commit and with nothing else. A slice that is being read again counts as it was
// committed, so the fence, which is given out before, is not part of it.
func State(rows []Slice) string {
	var lines []string
	for _, r := range rows {
		if !r.LoadedAt.IsZero() {
			lines = append(lines, fmt.Sprintf("%q %q %q %q %s %d\n", r.Function, r.Table, r.ID, r.Digest, r.LoadedAt.UTC().Format(time.RFC3339Nano), r.RowsLoaded))
		}
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	return hex.EncodeToString(sum[:])
}

// compute fills the staged rows from the query, and says in the slice how many.
func (s *Staging) compute(ctx context.Context) error {
	cols := staging(s.l.Table)
	exprs := make([]string, len(cols))
	for i, c := range cols {
		e := "q." + quote(c.Name)
		switch c.Name {
		case ColumnSeq:
			e = "row_number() OVER (ORDER BY " + strings.Join(quoteAll(s.l.Table.Key), ", ") + ")"
		case record.ColumnExtra:
			e = "NULL"
		}
		exprs[i] = fmt.Sprintf("CAST(%s AS %s) AS %s", e, s.w.driver.Type(c), quote(c.Name))
	}
	_, err := s.conn.ExecContext(ctx, fmt.Sprintf("CREATE OR REPLACE TEMPORARY TABLE %s AS SELECT %s FROM (\n%s\n) AS q", quote(stagedTable), strings.Join(exprs, ", "), s.l.Computed.Query))
	if errors.Is(s.w.driver.Fault(err), fault.Corrupt) { // its words may hold a value of a row
		return fault.New(fault.Corrupt, "a value does not convert as the query of %s says: use TRY_CAST where the input is text, and look at the sizes of the columns", s.l.Table.FullName())
	}
	if err != nil {
		return err
	}
	var n int64
	err = s.conn.QueryRowContext(ctx, "SELECT count(*) FROM "+quote(stagedTable)).Scan(whole{&n})
	s.l.Slice.RowsSource, s.l.Slice.RowsStaged = n, n
	return err
}

// Slice is the slice as it is staged: of a computed one, with its totals.
func (s *Staging) Slice() Slice { return s.l.Slice }

// confirm makes sure that the inputs are still in the state that was computed. It
// comes after the rows were moved: by then everybody else who commits to this table
// waits for us, and computes from what was committed meanwhile.
func (s *Staging) confirm(ctx context.Context, tx *sql.Tx) error {
	if s.l.Computed == nil {
		return nil
	}
	var rows []Slice
	for _, in := range s.l.Computed.Inputs {
		of, err := slicesOf(ctx, tx, in.Function, in.Table)
		if err != nil {
			return err
		}
		rows = append(rows, of...)
	}
	if State(rows) != s.l.Computed.State {
		return fault.New(fault.Stale, "an input of %s was loaded while it was computed", s.l.Table.FullName())
	}
	return nil
}
