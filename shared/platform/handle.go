package platform

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	loadfunction "github.com/millrace-data/millrace/functions/load"
	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/stage"
)

const (
	// reserve is kept free at the end of an invocation, for its answer.
	reserve = 5 * time.Second
	// patience is how long a message that is not due yet is waited with. One that is
	// later still comes again.
	patience = 10 * time.Second
)

// The states of an event beside those of slices.
const (
	Ticked  = "ticked"  // its slices were planned and asked for
	Ignored = "ignored" // nothing to do, or another function's
	Poison  = "poison"  // can never be handled; recorded
	again   = "again"   // has to come again
)

// Answer is how a delivery ended. It is done with, unless Again says otherwise.
type Answer struct {
	Function string  `json:"function"`
	Events   []Ended `json:"events"`
	Again    bool    `json:"-"` // the delivery must come again
	Err      error   `json:"-"` // the first thing that went wrong
}

// Ended is how one event ended.
type Ended struct {
	Event  string     `json:"event,omitempty"`
	Name   string     `json:"name,omitempty"` // of what a follower did: a table or a sync
	State  string     `json:"state"`          // of the slice or the plan, or one of the above
	Slices int        `json:"slices,omitempty"`
	Rows   int64      `json:"rows,omitempty"`
	Until  *time.Time `json:"until,omitempty"` // paused until, or goes on at
	Error  string     `json:"error,omitempty"`

	again bool
	told  bool // err is in the log and in millrace.runs already
	err   error
}

// Outcome is the answer in one word: ok, failed (something is recorded as such) or
// again.
func (a Answer) Outcome() string {
	switch {
	case a.Again:
		return again
	case a.Err != nil:
		return "failed"
	}
	return "ok"
}

// Refused reports whether an event could not be handled, which is more than that what
// it asked for was done and failed.
func (a Answer) Refused() bool {
	return slices.ContainsFunc(a.Events, func(e Ended) bool { return e.State == Poison })
}

// Handle deals with a delivery, within the time that ctx, or MILLRACE_DEADLINE where
// that ends sooner, leaves. It says again only where the outcome could not be
// recorded or may be another one next time. Where it does not come back in time, the
// process ends.
func (n *Node) Handle(ctx context.Context, d chain.Delivery) Answer {
	opened := n.guard(ctx, "open", opening)
	m, release, err := n.hold(ctx)
	opened()
	if err != nil { // the deployment is at fault, not the event
		n.secrets.Forget()
		return n.sum(ctx, d, []Ended{{State: again, again: true, err: fmt.Errorf("open function %s: %w", n.o.Function, err)}})
	}
	defer release()
	ctx, cancel := budget(ctx, m.settings.Deadline)
	defer cancel()
	if at, ok := ctx.Deadline(); ok {
		defer n.guard(ctx, "handle", time.Until(at)+grace)()
	}
	var ended []Ended
	for _, e := range chain.Newest(d.Events) {
		ended = append(ended, n.one(ctx, m, d, e)...)
	}
	if d.Err != nil {
		ended = append(ended, n.refuse(ctx, m, d, chain.Event{}, d.Err))
	}
	return n.sum(ctx, d, ended)
}

// budget ends before the platform does, so that there is time to answer.
func budget(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	at, ok := ctx.Deadline()
	if limit > 0 {
		if mine := time.Now().Add(limit); !ok || mine.Before(at) {
			at, ok = mine, true
		}
	}
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, at.Add(-min(reserve, time.Until(at)/10)))
}

// one deals with one event. What a follower did before it failed is in it too.
func (n *Node) one(ctx context.Context, m *mill, d chain.Delivery, e chain.Event) []Ended {
	out, err := n.dispatch(ctx, m, e)
	switch fault.Of(err) {
	case nil, fault.Stale:
	case fault.Transient, fault.Limited:
		out = append(did(out), Ended{State: again, again: true, err: err})
	default:
		if errors.Is(err, fault.Auth) {
			n.secrets.Forget()
		}
		out = append(did(out), n.refuse(ctx, m, d, e, err))
	}
	for i := range out {
		if errors.Is(out[i].err, fault.Auth) { // a rotation may be what it takes
			n.secrets.Forget()
		}
		out[i].Event = e.ID
	}
	return out
}

// did leaves out what is nothing but the lack of an outcome.
func did(out []Ended) []Ended {
	return slices.DeleteFunc(out, func(e Ended) bool { return e.Name == "" })
}

// dispatch gives an event to the engine that deals with it.
func (n *Node) dispatch(ctx context.Context, m *mill, e chain.Event) ([]Ended, error) {
	if m.follower != nil {
		return n.follow(ctx, m, e)
	}
	var out Ended
	var err error
	switch {
	case e.Tick != nil:
		out, err = n.tick(ctx, m, e.Tick)
	case e.Message != nil:
		out, err = n.message(ctx, m, e.Message)
	default:
		out, err = n.arrival(ctx, m, e)
	}
	return []Ended{out}, err
}

// tick asks for the slices that are due.
func (n *Node) tick(ctx context.Context, m *mill, t *chain.Tick) (Ended, error) {
	if m.connector == nil {
		return Ended{}, fault.New(fault.Invalid, "function %s has no slices to ask for: an arrival starts it, no schedule", n.o.Function)
	}
	if t.Function != "" && t.Function != n.o.Function {
		return Ended{}, fault.New(fault.Invalid, "a tick for function %.50q came to %s: check the schedule's target", t.Function, n.o.Function)
	}
	now := t.At
	if now.IsZero() {
		now = n.o.Now().UTC()
	}
	asked, err := m.extract.Tick(ctx, m.connector, extract.Request{Tables: t.Tables, From: t.From, To: t.To, Purpose: extract.Purpose(t.Purpose), Now: now})
	return Ended{State: Ticked, Slices: len(asked)}, err
}

// message reads the slice that a message names.
func (n *Node) message(ctx context.Context, m *mill, msg *chain.Message) (Ended, error) {
	if m.connector == nil {
		return Ended{}, fault.New(fault.Invalid, "%s takes the arrival of objects, this is a message of topic %.50q: give it to the function it names", n.o.Function, msg.Topic)
	}
	if other := msg.Attributes["function"]; other != "" && other != n.o.Function {
		return Ended{State: Ignored}, nil // a subscription without a filter
	}
	if err := due(ctx, msg.NotBefore); err != nil {
		return Ended{}, err
	}
	o, err := m.extract.Handle(ctx, m.connector, *msg)
	if err == nil && o.State == extract.Stale && n.o.Now().Before(o.Until) {
		// Perhaps that worker was killed: then this delivery is all there is to go on with.
		return Ended{}, fault.LimitedUntil(o.Until, "another worker has slice %s of %s", o.Slice.ID, o.Slice.Table)
	}
	out := Ended{State: o.State, Slices: 1, Rows: o.Rows, err: o.Err}
	if !o.Until.IsZero() {
		out.Until = &o.Until
	}
	return out, err
}

// due waits until a message may be handled, though not for long.
func due(ctx context.Context, at time.Time) error {
	if time.Until(at) > patience {
		return fault.LimitedUntil(at, "the message is not due yet")
	}
	return wait(ctx, time.Until(at))
}

// wait waits a part of the time that is left.
func wait(ctx context.Context, d time.Duration) error {
	if end, ok := ctx.Deadline(); ok {
		d = min(d, time.Until(end)/3)
	}
	if d = min(d, patience); d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// arrival loads a manifest. Parts and what is kept for people arrive too, and what
// this function writes itself lies where nothing is loaded from (corrupt/): it can
// not start itself.
func (n *Node) arrival(ctx context.Context, m *mill, e chain.Event) (Ended, error) {
	a := e.Arrival
	if m.connector != nil {
		return Ended{}, fault.New(fault.Invalid, "%s reads slices that messages name, this is the arrival of an object: give it to %s", n.o.Function, loadfunction.Name)
	}
	if a.Bucket != m.stage.Name() {
		return Ended{}, fault.New(fault.Invalid, "an object arrived in bucket %.80q, but the stage is %q: check the notification", a.Bucket, m.stage.Name())
	}
	key, ok := m.stage.Key(a.Key)
	if !ok || !stage.IsManifest(key) {
		return Ended{State: Ignored}, nil
	}
	if stale, err := m.overtaken(ctx, a); stale || err != nil {
		return Ended{State: extract.Stale}, err
	}
	o, err := m.load.Handle(ctx, key, e.ID)
	return Ended{State: o.State, Slices: 1, Rows: o.Rows, err: o.Err}, err
}

// overtaken reports whether an object was written again after this arrival: the
// event of that writing is on its way, or was here already.
func (m *mill) overtaken(ctx context.Context, a *chain.Arrival) (bool, error) {
	if a.Generation == "" || m.generation == nil {
		return false, nil
	}
	now, err := m.generation(ctx, a.Key)
	if errors.Is(err, fault.NotFound) {
		return true, nil // swept: a newer attempt is loaded
	}
	return err == nil && now != "" && now != a.Generation, err
}

// sum makes the answer, and one line of the log where something went wrong.
func (n *Node) sum(ctx context.Context, d chain.Delivery, ended []Ended) Answer {
	a := Answer{Function: n.o.Function, Events: ended}
	var errs, news []error
	for i, e := range ended {
		a.Again = a.Again || e.again
		if e.err != nil {
			if d.Direct { // who may deliver events is not who may read logs
				ended[i].Error = e.err.Error()
			}
			errs = append(errs, e.err)
			if !e.told {
				news = append(news, e.err)
			}
		}
	}
	a.Err = errors.Join(errs...)
	if err := errors.Join(news...); err != nil {
		level, kind := slog.LevelError, fault.Of(err)
		if a.Again && (kind == fault.Transient || kind == fault.Limited) { // anything else needs a person
			level = slog.LevelWarn
		}
		n.o.Log.Log(ctx, level, "event "+a.Outcome(), "function", n.o.Function, "events", len(ended), "tries", d.Tries, "kind", kind.Error(), "error", err)
	}
	return a
}
