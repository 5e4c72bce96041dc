package chain

import (
	"bytes"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-data/millrace/shared/fault"
)

// tickBody is a [Tick] as it arrives. Names that are not here are refused: a
// misspelled "table" must not read everything.
type tickBody struct {
	Function  string   `json:"function"`
	Tables    []string `json:"tables"`
	From      string   `json:"from"`
	To        string   `json:"to"`
	Purpose   string   `json:"purpose"`
	Scheduled string   `json:"scheduled_time"` // EventBridge Scheduler: <aws.scheduler.scheduled-time>
	Execution string   `json:"execution_id"`
	// What EventBridge Scheduler can add; of no use to us.
	Attempt  jsontext.Value `json:"attempt"`
	Schedule jsontext.Value `json:"schedule"`
}

// tickish reports whether members of these values are a tick's. The body of a
// message names a slice beside its function.
func tickish(function, slice jsontext.Value) bool {
	return function.Kind() == '"' && slice == nil
}

// sent reports whether a message's data is a tick that a scheduler published.
func sent(data []byte) bool {
	var e struct {
		Function jsontext.Value `json:"function"`
		Slice    jsontext.Value `json:"slice"`
	}
	return decode(data, &e) == nil && tickish(e.Function, e.Slice)
}

// ticked is the event of a tick; otherwise is when it was due where it does not
// say so itself.
func ticked(body []byte, otherwise string) ([]Event, error) {
	var b tickBody
	if err := decode(body, &b, json.RejectUnknownMembers(true)); err != nil {
		return nil, fault.New(fault.Invalid, "tick: not a JSON object with only function, tables, from, to, purpose, scheduled_time, execution_id, attempt, schedule")
	}
	t := &Tick{Function: b.Function, Tables: b.Tables, Purpose: b.Purpose}
	if b.Scheduled == "" {
		b.Scheduled = otherwise
	}
	for _, f := range []struct {
		name, text string
		at         *time.Time
	}{{"from", b.From, &t.From}, {"to", b.To, &t.To}, {"scheduled_time", b.Scheduled, &t.At}} {
		var err error
		if *f.at, err = when(f.text); err != nil {
			return nil, fault.New(fault.Invalid, "tick: %s is neither a date nor a time of RFC 3339", f.name)
		}
	}
	if t.From.IsZero() && !t.To.IsZero() || t.From.IsZero() && t.Purpose == "backfill" {
		return nil, fault.New(fault.Invalid, "tick: a range, and each backfill, has a from")
	}
	if t.Purpose != "" && t.Purpose != "live" && t.Purpose != "backfill" {
		return nil, fault.New(fault.Invalid, "tick: the purpose is neither live nor backfill")
	}
	return []Event{tick(t, b.Execution)}, nil
}

// scheduled is the tick of an EventBridge rule with a schedule.
func scheduled(at jsontext.Value) ([]Event, error) {
	t := &Tick{}
	var err error
	if t.At, err = when(text(at)); err != nil {
		return nil, fault.New(fault.Invalid, "event Scheduled Event: its time is not of RFC 3339")
	}
	return []Event{tick(t, "")}, nil
}

func tick(t *Tick, execution string) Event {
	id := "tick://" + t.Function + "#" + execution
	if execution == "" {
		id = "tick://" + t.Function + "/" + strings.Join(t.Tables, ",") + "#" + t.At.Format(time.RFC3339Nano)
	}
	return Event{ID: id, Type: typeTick, Tick: t}
}

// when reads a time, or a date as its midnight, UTC.
func when(s string) (t time.Time, err error) {
	if s == "" {
		return t, nil
	}
	if t, err = time.Parse(time.RFC3339Nano, s); err != nil {
		t, err = time.Parse(time.DateOnly, s)
	}
	return t.UTC(), err
}

// blank reports whether a scheduler was given nothing to send.
func blank(body []byte) bool {
	b := bytes.TrimSpace(body)
	return len(b) == 0 || string(b) == "{}"
}
