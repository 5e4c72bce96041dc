package platform

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// last is the time to record what went wrong in, when the invocation's is over.
const last = 20 * time.Second

// refuse ends an event that will fail however often it comes: it is kept as it is in
// the stage, for a person; a run says why; the slice that it names, if any, has
// failed, so that the next tick takes it up. What cannot be recorded comes again.
func (n *Node) refuse(ctx context.Context, m *mill, d chain.Delivery, e chain.Event, cause error) Ended {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), last)
	defer cancel()
	out := Ended{Event: e.ID, State: Poison, err: cause}
	began := time.Now()
	if where, err := n.keep(ctx, m, d.Raw); err != nil {
		n.o.Log.WarnContext(ctx, "event not kept", "function", n.o.Function, "error", err)
	} else if where != "" {
		cause = fmt.Errorf("%w; the event is kept as %s", cause, where)
	}
	run := warehouse.Run{ID: began.UTC().Format("20060102T150405.000000Z"), Function: n.o.Function, Step: "event", Slice: short(e.ID), Outcome: warehouse.Failed,
		QuotaLeft: -1, StartedAt: began, ErrorKind: fault.Of(cause).Error(), Error: cause.Error()}
	err := errors.Join(m.warehouse.RecordRun(ctx, run), m.fail(ctx, e, cause))
	if err != nil {
		return Ended{Event: e.ID, State: again, again: true, err: fmt.Errorf("%w; it could not be recorded: %w", cause, err)}
	}
	return out
}

// keep stores an event below corrupt/, where no arrival starts anything; the same
// one is kept once. Without a stage it is not: what starts a follower only names what
// is in the warehouse.
func (n *Node) keep(ctx context.Context, m *mill, raw []byte) (where string, err error) {
	if len(raw) == 0 || m.stage == nil {
		return "", nil
	}
	sum := sha256.Sum256(raw)
	key := stage.Corrupt + "events/" + n.o.Function + "/" + hex.EncodeToString(sum[:16]) + ".json"
	return m.stage.Name() + "/" + m.stage.Object(key), m.stage.Put(ctx, key, raw)
}

// fail records the failure of the slice that a message names. A slice that a newer
// attempt has, or that is not in the ledger, is none of this event's business.
func (m *mill) fail(ctx context.Context, e chain.Event, cause error) error {
	if e.Message == nil || m.follower != nil {
		return nil
	}
	var s extract.Slice
	if json.Unmarshal(e.Message.Data, &s) != nil || s.ID == "" {
		return nil
	}
	row, err := m.warehouse.Slice(ctx, s.Function, s.Table, s.ID)
	if err == nil && row.State == warehouse.Planned {
		err = m.warehouse.End(ctx, row, warehouse.Failed, cause)
	}
	if errors.Is(err, fault.NotFound) || errors.Is(err, fault.Stale) {
		return nil
	}
	return err
}

func short(s string) string { return s[:min(len(s), 500)] }
