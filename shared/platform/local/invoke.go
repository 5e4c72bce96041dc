package local

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
)

// Invoke delivers an event to a function, waits for all that follows from it, and
// reports how the slices that the event is about ended, by the same words as a run.
func (c *Cloud) Invoke(ctx context.Context, function string, event []byte) (*Report, error) {
	began := time.Now()
	before, done := c.costs.of(function), c.followers.count()
	if err := c.Deliver(ctx, function, event); err != nil {
		return nil, err
	}
	if err := c.Settle(ctx); err != nil {
		return nil, err
	}
	if c.followers.ready[function] != nil {
		rep, err := c.followed(ctx, function, done)
		if err == nil {
			rep.TookMS = time.Since(began).Milliseconds()
		}
		return rep, err
	}
	mine, err := c.about(ctx, event)
	if err != nil {
		return nil, err
	}
	rep := &Report{Function: function, Tables: []TableReport{}}
	var all tally
	for _, name := range c.names() {
		f, ids := c.functions[name], mine[name]
		if f == nil || len(ids) == 0 {
			continue
		}
		var names []string
		for i := range ids {
			names = append(names, i.table)
		}
		tables := asked(f.Tables, names)
		mine := accompanied(ids, tables)
		if err := c.sum(ctx, f.Name, tables, mine, rep, &all); err != nil {
			return nil, err
		}
	}
	after := c.costs.of(function)
	rep.Outcome, rep.Requests, rep.Retries = all.outcome(), after.requests-before.requests, after.retries-before.retries
	rep.Followers = c.reported(c.followers.since(done))
	rep.TookMS = time.Since(began).Milliseconds()
	return rep, nil
}

// about is the slices, by function, that an event names. An arrival whose manifest
// the ledger does not have, or no longer has, is about none.
func (c *Cloud) about(ctx context.Context, event []byte) (map[string]map[id]bool, error) {
	events, err := chain.Decode(event)
	if err != nil {
		return nil, err
	}
	out := map[string]map[id]bool{}
	note := func(function string, i id) {
		if out[function] == nil {
			out[function] = map[id]bool{}
		}
		out[function][i] = true
	}
	for _, e := range events {
		if e.Message != nil {
			var s extract.Slice
			if err := json.Unmarshal(e.Message.Data, &s); err != nil {
				return nil, fault.New(fault.Invalid, "message %s is no slice: %w", e.ID, err)
			}
			note(s.Function, id{s.Table, s.ID})
			continue
		}
		key, ok := c.stage.Key(e.Arrival.Key)
		if !ok {
			continue
		}
		row, err := c.warehouse.ByManifest(ctx, key)
		if errors.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		note(row.Function, id{row.Table, row.ID})
	}
	return out, nil
}
