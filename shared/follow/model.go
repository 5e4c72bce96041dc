package follow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/load"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// Model is a table that is computed from others by one query, whole, whenever one of
// them was loaded and all of them are: judged by the gate, committed with ledger and
// mark, and announced, as what vendors send is.
//
// The slice of a run is named by what is committed of the inputs. So it is computed
// once for each state of them, however often, late or together the messages come,
// and what the table says is what the query says of that state.
type Model struct {
	Name  string // of the function
	Doc   string
	Table record.Table // its columns are those of the query, by name
	Query string       // portable SQL: quoted names, no clock, no chance
	Reads []string     // all tables of Query, as schema.table
	Rules []gate.Rule  // beside the ones every model has: key not null, key unique. Rules of rows refuse: there is no row to leave out
}

// Function makes the model a deployable.
func (m Model) Function() *Function {
	m.Table.Mode, m.Table.Open = record.ReplaceAll, true // open: there is nothing undeclared to keep in _extra
	return &Function{Name: m.Name, Doc: m.Doc, Tables: []record.Table{m.Table}, Open: func(_ env.Lookup, in Invocation) (Follower, error) {
		r := &modelRun{Model: m, in: in}
		return r, r.resolve()
	}}
}

// modelRun is a Model for one invocation.
type modelRun struct {
	Model
	in     Invocation
	inputs []warehouse.Ledger // in the order of Reads
}

// resolve finds the ledgers of the inputs.
func (m *modelRun) resolve() error {
	for _, name := range m.Reads {
		found := false
		for _, in := range m.in.Inputs {
			if in.FullName() == name {
				m.inputs, found = append(m.inputs, warehouse.Ledger{Function: in.Function, Table: in.Table}), true
				break
			}
		}
		if !found {
			return fault.New(fault.Invalid, "model %s reads %s, which no function of this build fills: correct its name", m.Name, name)
		}
	}
	if len(m.Reads) == 0 || len(m.Table.Key) == 0 {
		return fault.New(fault.Invalid, "model %s has no inputs or no key: declare both", m.Name)
	}
	return nil
}

// Follows implements [Follower].
func (m *modelRun) Follows() []string { return m.Reads }

// tries is how often a run begins anew because an input was loaded meanwhile.
const tries = 3

// Handle implements [Follower]: it computes the table, announces it again, or finds
// nothing to do.
func (m *modelRun) Handle(ctx context.Context, s Start) ([]Outcome, error) {
	if s.Table != "" && !slices.Contains(m.Reads, s.Table) || len(s.Only) > 0 && !slices.Contains(s.Only, m.Name) && !slices.Contains(s.Only, m.Table.FullName()) {
		return nil, nil
	}
	var o Outcome
	var err error
	for range tries {
		if o, err = m.once(ctx, s.Hand); !errors.Is(err, fault.Stale) {
			break
		}
	}
	if errors.Is(err, fault.Stale) {
		err = fault.New(fault.Transient, "model %s: its inputs were loaded %d times while it was computed; it is tried again later: %v", m.Name, tries, err)
	}
	if o.State == "" || err != nil {
		return nil, err
	}
	return []Outcome{o}, nil
}

// once is one try. fault.Stale means that another may do better.
func (m *modelRun) once(ctx context.Context, hand bool) (Outcome, error) {
	all, err := m.standing(ctx)
	if err != nil {
		return Outcome{}, err
	}
	state := warehouse.State(all.rows)
	known, err := m.known(ctx, warehouse.ComputedID(state, 0))
	switch {
	case err != nil:
		return Outcome{}, err
	case len(all.never) > 0:
		return m.idle("an input was never loaded", all.never)
	case known.State == warehouse.Loaded && !hand:
		return m.announce(ctx, known)
	case len(all.open) > 0:
		return m.idle("an input is being loaded, which starts this again", all.open)
	}
	for n := 1; known.State == warehouse.Loaded; n++ { // a person wants it all the same
		if known, err = m.known(ctx, warehouse.ComputedID(state, n)); err != nil {
			return Outcome{}, err
		}
	}
	s := warehouse.Slice{Function: m.Name, Table: m.Table.Name, ID: known.ID, Purpose: "live", From: all.mark, To: all.mark, Fence: max(known.Fence, 1)}
	if len(all.bad) > 0 {
		cause := fault.New(fault.Refused, "%s is not computed: %s; the table keeps what it had. Mend that and run it again: this then runs by itself", m.Table.FullName(), strings.Join(all.bad, "; "))
		return m.end(ctx, s, warehouse.Refused, cause)
	}
	return m.compute(ctx, s, state)
}

// compute stages, judges, commits and announces.
func (m *modelRun) compute(ctx context.Context, s warehouse.Slice, state string) (Outcome, error) {
	if _, err := m.in.Warehouse.Ensure(ctx, m.Table); err != nil {
		return Outcome{}, err
	}
	s.Digest = state
	st, err := m.in.Warehouse.Stage(ctx, warehouse.Load{Slice: s, Table: m.Table, Now: m.in.Now().UTC(), Point: m.in.Point,
		Computed: &warehouse.Computed{Query: m.Query, Inputs: m.inputs, State: state}})
	if err != nil && fault.Of(err) != fault.Transient {
		return m.end(ctx, s, warehouse.Failed, fmt.Errorf("the query of model %s: %w", m.Name, err))
	}
	if err != nil {
		return Outcome{}, err
	}
	defer st.Close()
	n := st.Slice().RowsSource
	checks, refusal, err := load.Judge(ctx, st, &stage.Manifest{Table: m.Table, Function: m.Name, Slice: s.ID, RowsSource: n, RowsStaged: n, Rules: m.rules()})
	if err != nil {
		return Outcome{}, err
	}
	if refusal != nil {
		res, err := st.Refuse(ctx, checks, refusal)
		return m.outcome(res.Slice, refusal), err
	}
	res, err := st.Commit(ctx, checks)
	if err != nil {
		return Outcome{}, err
	}
	m.point("after_commit_before_publish")
	return m.announce(ctx, res.Slice)
}

// rules are the model's own and those of every model.
func (m *modelRun) rules() []gate.Rule {
	out := []gate.Rule{gate.Once(m.Table.Key...)}
	for _, k := range m.Table.Key {
		out = append(out, gate.Require(k))
	}
	out = append(out, m.Rules...)
	for i, r := range out {
		if r.Level == gate.Quarantine {
			out[i] = r.At(gate.Refuse)
		}
	}
	return out
}

func (m *modelRun) announce(ctx context.Context, s warehouse.Slice) (Outcome, error) {
	err := load.Announce(ctx, m.in.Chain, load.Loaded{Function: m.Name, Table: m.Table.FullName(), Slice: s.ID, Rows: s.RowsLoaded, Mark: s.To})
	return m.outcome(s, nil), err
}

// end records in the ledger that a slice was not computed. A slice that another
// worker ended meanwhile stays as that one left it.
func (m *modelRun) end(ctx context.Context, s warehouse.Slice, state string, cause error) (Outcome, error) {
	err := m.in.Warehouse.Plan(ctx, []warehouse.Slice{s})
	if err == nil {
		s, err = m.in.Warehouse.Claim(ctx, s.Function, s.Table, s.ID, m.in.Owner, m.in.Lease)
	}
	if err == nil {
		err = m.in.Warehouse.End(ctx, s, state, cause)
	}
	s.State = state
	return m.outcome(s, cause), err
}

func (m *modelRun) outcome(s warehouse.Slice, cause error) Outcome {
	return Outcome{Name: m.Table.FullName(), State: s.State, Rows: s.RowsLoaded, Err: cause}
}

// idle says why there is nothing to do.
func (m *modelRun) idle(why string, tables []string) (Outcome, error) {
	m.in.Log.Info("nothing to compute", "function", m.Name, "table", m.Table.FullName(), "why", why, "inputs", strings.Join(tables, " "))
	return Outcome{}, nil
}

func (m *modelRun) point(name string) {
	if m.in.Point != nil {
		m.in.Point(name)
	}
}

// known is the ledger row of a slice, and one without state where there is none.
func (m *modelRun) known(ctx context.Context, id string) (warehouse.Slice, error) {
	s, err := m.in.Warehouse.Slice(ctx, m.Name, m.Table.Name, id)
	if errors.Is(err, fault.NotFound) {
		return warehouse.Slice{ID: id}, nil
	}
	return s, err
}
