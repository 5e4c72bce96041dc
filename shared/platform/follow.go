package platform

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/load"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// Starter starts one function that tables start, on whichever platform, and records
// in millrace.runs what it did. It is safe for concurrent use.
type Starter struct {
	Function  string
	Follower  follow.Follower
	Warehouse *warehouse.Warehouse
	Log       *slog.Logger
	Now       func() time.Time
}

// Due reads an event as a start. mine is false where the event is nothing to this
// function, such as the message of a table that it does not follow. What no function
// of its kind takes is fault.Invalid.
func (s *Starter) Due(e chain.Event) (start follow.Start, mine bool, err error) {
	switch {
	case e.Tick != nil:
		start, err = s.tick(e.Tick)
		return start, err == nil, err
	case e.Message == nil:
		return start, false, fault.New(fault.Invalid, "%s starts when a table was loaded, this is the arrival of an object: give it to load", s.Function)
	}
	table, err := loadedTable(e.Message)
	if err != nil {
		return start, false, fault.New(fault.Invalid, "%s starts when a table was loaded: %w", s.Function, err)
	}
	return follow.Start{Table: table}, slices.Contains(s.Follower.Follows(), table), nil
}

// tick is the start that a schedule asks for. One that names what to do is a person's.
func (s *Starter) tick(t *chain.Tick) (start follow.Start, err error) {
	switch {
	case t.Function != "" && t.Function != s.Function:
		return start, fault.New(fault.Invalid, "a tick for function %.50q came to %s: check the schedule's target", t.Function, s.Function)
	case !t.From.IsZero() || t.Purpose != "":
		return start, fault.New(fault.Invalid, "a tick with a range or a purpose came to %s, which reads no slices", s.Function)
	}
	return follow.Start{At: t.At, Only: t.Tables, Hand: len(t.Tables) > 0}, nil
}

// loadedTable is the table that a message of topic millrace-loaded is about. The
// topic's name may be the subscription's, so the body has to tell: a slice that is
// due names its table without a schema.
func loadedTable(m *chain.Message) (string, error) {
	var l load.Loaded
	if m.Topic == chain.TopicSlices || json.Unmarshal(m.Data, &l) != nil || !strings.Contains(l.Table, ".") || l.Table != m.Attributes["table"] {
		return "", fault.New(fault.Invalid, "this is a message of topic %.50q: give it to the function it names", m.Topic)
	}
	return l.Table, nil
}

// Start starts the function. An error is for a start that has to come again, as its
// kind says; how the things ended that were done before it is returned all the same.
func (s *Starter) Start(ctx context.Context, start follow.Start) ([]follow.Outcome, error) {
	began := time.Now()
	if start.At.IsZero() && start.Table == "" {
		start.At = s.Now().UTC()
	}
	out, err := s.Follower.Handle(ctx, start)
	if errors.Is(err, fault.Stale) { // another worker has it
		err = nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), last)
	defer cancel()
	for _, o := range out {
		s.account(ctx, o, began)
	}
	if err != nil {
		s.account(ctx, follow.Outcome{Name: start.Table, State: stateOf(err), Err: err}, began)
	}
	return out, err
}

// stateOf is how a start ended that made an error: one that passes is made again.
func stateOf(err error) string {
	if kind := fault.Of(err); kind == fault.Transient || kind == fault.Limited {
		return again
	}
	return warehouse.Failed
}

// account writes a row of millrace.runs, and a line of the log. A start that found
// nothing to do leaves neither: there is one for every slice that is loaded.
func (s *Starter) account(ctx context.Context, o follow.Outcome, began time.Time) {
	name := o.Name
	if _, table, ok := strings.Cut(name, "."); ok { // the ledger's names are without schema
		name = table
	}
	run := warehouse.Run{ID: began.UTC().Format("20060102T150405.000000Z"), Function: s.Function, Step: "follow", Table: name,
		Outcome: o.State, Rows: o.Rows, QuotaLeft: -1, StartedAt: began, TookMS: time.Since(began).Milliseconds()}
	args := []any{"function", s.Function, "name", o.Name, "state", o.State, "rows", o.Rows, "took_ms", run.TookMS}
	level := slog.LevelInfo
	if o.Err != nil {
		run.ErrorKind, run.Error = fault.Of(o.Err).Error(), o.Err.Error()
		level, args = slog.LevelWarn, append(args, "kind", run.ErrorKind, "error", o.Err)
	}
	s.Log.Log(ctx, level, "followed", args...)
	if err := s.Warehouse.RecordRun(ctx, run); err != nil {
		s.Log.WarnContext(ctx, "run not recorded", "function", s.Function, "name", o.Name, "error", err)
	}
}

// Close closes the function, if it is to be closed.
func (s *Starter) Close() error {
	if c, ok := s.Follower.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// follow starts the function, where an event says so.
func (n *Node) follow(ctx context.Context, m *mill, e chain.Event) ([]Ended, error) {
	start, mine, err := m.follower.Due(e)
	if err != nil || !mine {
		return []Ended{{State: Ignored}}, err
	}
	if e.Message != nil {
		if err := due(ctx, e.Message.NotBefore); err != nil {
			return nil, err
		}
	}
	outcomes, err := m.follower.Start(ctx, start)
	var out []Ended
	for _, o := range outcomes {
		ended := Ended{Name: o.Name, State: o.State, Rows: o.Rows, told: true, err: o.Err}
		if !o.Until.IsZero() {
			ended.Until = &o.Until
		}
		out = append(out, ended)
	}
	if len(out) == 0 {
		out = []Ended{{State: Ignored}}
	}
	return out, err
}
