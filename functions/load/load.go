// Package load is the function that loads what arrived in the stage, for all
// connectors: any event of a cloud in, the load engine behind it.
//
// A stage's bucket announces every object, and most of them are parts. Only a
// manifest says that an attempt is whole, so only manifests are loaded; the other
// arrivals are dealt with by doing nothing, as is what lies beside the stage's folder
// in its bucket. The function holds no state and no
// rules: what loading means is in shared/load.
package load

import (
	"context"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/fault"
	engine "github.com/millrace-data/millrace/shared/load"
	"github.com/millrace-data/millrace/shared/stage"
)

// Name is what the function is called where it is deployed and in events.
const Name = "load"

// Handle loads the manifests among the arrivals that an event holds, one after
// the other, and returns how each ended. An error means that the event should be
// delivered again, unless it is fault.Invalid: such an event is none of ours.
func Handle(ctx context.Context, e *engine.Engine, event []byte) ([]engine.Outcome, error) {
	events, err := chain.Decode(event)
	if err != nil {
		return nil, err
	}
	var out []engine.Outcome
	for _, ev := range events {
		if ev.Arrival == nil {
			return out, fault.New(fault.Invalid, "event %s is no arrival, and load takes the arrival of objects: give it to the function it names", ev.ID)
		}
		key, ok := e.Stage.Key(ev.Arrival.Key)
		if !ok || !stage.IsManifest(key) {
			continue
		}
		o, err := e.Handle(ctx, key, ev.ID)
		if err != nil {
			return out, err
		}
		out = append(out, o)
	}
	return out, nil
}
