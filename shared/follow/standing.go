package follow

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-data/millrace/shared/warehouse"
)

// standing is how the inputs of a model are, as the ledger has them.
type standing struct {
	rows  []warehouse.Slice // all of the inputs' ledgers
	never []string          // inputs of which nothing was ever committed
	open  []string          // inputs that are being loaded
	bad   []string          // inputs whose last slice was not loaded, and why
	mark  time.Time         // the smallest of theirs; zero where one has none
}

// standing looks at all inputs. Only live slices say whether there is work under
// way, and how it ended: a backfill of years must not hold up what is new.
func (m *modelRun) standing(ctx context.Context) (*standing, error) {
	s, first := &standing{}, true
	for i, in := range m.inputs {
		rows, err := m.in.Warehouse.Slices(ctx, in.Function, in.Table)
		if err != nil {
			return nil, err
		}
		mark, err := m.in.Warehouse.Mark(ctx, in.Function, in.Table)
		if err != nil {
			return nil, err
		}
		s.rows = append(s.rows, rows...)
		if timed := s.add(m.Reads[i], rows); timed && (first || mark.At.Before(s.mark)) {
			s.mark, first = mark.At, false
		}
	}
	return s, nil
}

// add looks at the ledger of one input. timed reports whether its slices are of a
// time, so that it can have a mark.
func (s *standing) add(name string, rows []warehouse.Slice) (timed bool) {
	var newest time.Time // of the scans that are loaded
	loaded := false
	for _, r := range rows {
		if r.Purpose != "live" {
			continue
		}
		loaded = loaded || !r.LoadedAt.IsZero()
		timed = timed || !r.To.IsZero()
		if !r.LoadedAt.IsZero() && !r.From.Before(r.To) && r.To.After(newest) {
			newest = r.To
		}
	}
	if !loaded {
		s.never = append(s.never, name)
		return timed
	}
	var last warehouse.Slice
	open := false
	for _, r := range rows {
		if r.Purpose != "live" || overtaken(r, newest) {
			continue
		}
		switch r.State {
		case warehouse.Loaded, warehouse.Refused, warehouse.Failed:
			if !r.UpdatedAt.Before(last.UpdatedAt) {
				last = r
			}
		default:
			open = true
		}
	}
	if open {
		s.open = append(s.open, name)
	}
	if last.State == warehouse.Refused || last.State == warehouse.Failed {
		s.bad = append(s.bad, fmt.Sprintf("slice %s of %s was %s (%s)", last.ID, name, last.State, last.Error))
	}
	return timed
}

// overtaken reports whether a scan that is not loaded will not be read any more: a
// newer one was.
func overtaken(r warehouse.Slice, newest time.Time) bool {
	return r.State != warehouse.Loaded && !r.To.IsZero() && !r.From.Before(r.To) && r.To.Before(newest)
}
