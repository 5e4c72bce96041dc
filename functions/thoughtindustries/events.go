package thoughtindustries

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/part"
	"github.com/millrace-data/millrace/shared/record"
)

const pageSize = 100 // events; fixed by the vendor

// place is where the reading of a feed stands: the cursor that Page takes.
//
// The vendor's own cursor is "the last timestamp less a millisecond", which loses
// the events that share the timestamp a page ends in; timestamps are often whole
// seconds, so they do. We ask again up to and including that timestamp, and leave
// out as many equal events as were read before.
type place struct {
	End  int64          `json:"end"`            // epoch ms of the newest event wanted, inclusive
	Seen map[string]int `json:"seen,omitempty"` // events at End that are read: digest → how many
	Next string         `json:"next,omitempty"` // vendor's cursor, only inside one timestamp; after it nothing repeats
	Done bool           `json:"done,omitempty"`
}

func (a *academy) events(ctx context.Context, e endpoint, s extract.Slice, out *extract.Out) error {
	from := s.From
	if a.start.After(from) {
		from = a.start
		out.Warn("%s: events before %s are left out by THOUGHT_INDUSTRIES_START", e.path, from.Format(time.RFC3339))
	}
	at := place{End: s.To.UnixMilli() - 1, Done: !from.Before(s.To)}
	err := resume(out.Cursor(), &at)
	for err == nil && !at.Done {
		p := newPage(from.UnixMilli(), at)
		if at, err = a.eventPage(ctx, e, p, out); err == nil {
			err = out.Page(encode(at))
		}
	}
	return err
}

func (a *academy) eventPage(ctx context.Context, e endpoint, p *page, out *extract.Out) (place, error) {
	q := url.Values{}
	q.Set("startDate", strconv.FormatInt(p.from, 10))
	q.Set("endDate", strconv.FormatInt(p.at.End, 10))
	if p.at.Next != "" {
		q.Set("cursor", p.at.Next)
	}
	next, err := a.page(ctx, e, q, out, func(raw []byte) error {
		key, fresh, err := p.add(raw)
		if err != nil || !fresh {
			return err
		}
		if e.keyless {
			return out.Row(raw, part.Field{Column: record.ColumnKey, Value: key})
		}
		return out.Row(raw)
	})
	if err != nil {
		return p.at, err
	}
	at, warn, err := p.next(next)
	if warn {
		out.Warn("%s: events of %s may be missing: the vendor cannot page inside one timestamp", e.path, stamp(p.at.End))
	}
	if err != nil {
		err = fault.New(fault.Corrupt, "%s between %s and %s: %w", e.path, stamp(p.from), stamp(p.at.End), err)
	}
	return at, err
}

// page counts the events of one page, which may come in any order.
type page struct {
	from int64
	at   place
	rows int
	low  int64            // epoch ms of the oldest event
	drop map[string]int   // digest → how many are still to be left out
	read map[string]count // digest → how many were read, earlier pages included
}

type count struct {
	at int64 // epoch ms
	n  int
}

func newPage(from int64, at place) *page {
	p := &page{from: from, at: at, low: at.End, drop: map[string]int{}, read: map[string]count{}}
	for digest, n := range at.Seen {
		p.read[digest] = count{at.End, n}
		if at.Next == "" {
			p.drop[digest] = n
		}
	}
	return p
}

// add counts an event and returns the key it has in a feed without ids: its
// digest, and its number among equal ones. It is not fresh if it was read before.
func (p *page) add(raw []byte) (key string, fresh bool, err error) {
	at, ok := timestamp(raw)
	switch {
	case !ok:
		return "", false, fault.New(fault.Corrupt, "an event between %s and %s has no readable timestamp", stamp(p.from), stamp(p.at.End))
	case at.UnixMilli() < p.from || at.UnixMilli() > p.at.End:
		return "", false, fault.New(fault.Corrupt, "asked for events between %s and %s, got one of %s", stamp(p.from), stamp(p.at.End), stamp(at.UnixMilli()))
	}
	digest, err := digest(raw)
	if err == nil && at.Nanosecond()%1e6 != 0 {
		err = fault.New(fault.Corrupt, "an event's time is finer than a millisecond: asking up to a millisecond would lose some of its events")
	}
	if err != nil {
		return "", false, err
	}
	p.rows++
	p.low = min(p.low, at.UnixMilli())
	if p.drop[digest] > 0 {
		p.drop[digest]--
		return "", false, nil
	}
	n := p.read[digest].n + 1
	p.read[digest] = count{at.UnixMilli(), n}
	return digest + "-" + strconv.Itoa(n), true, nil
}

// next is where to go on. It warns where events may be lost.
func (p *page) next(a answer) (at place, warn bool, err error) {
	more := p.rows > 0
	if a.More != nil {
		more = *a.More
	}
	stuck := a.More != nil || p.rows >= pageSize // else the page is all there is of its timestamp
	switch {
	case p.rows == 0 && len(p.drop) > 0:
		return p.at, false, fault.New(fault.Corrupt, "events that were read a moment ago are gone: the vendor's paging is not reliable")
	case !more:
		return place{Done: true}, false, nil
	case p.low < p.at.End:
		return place{End: p.low, Seen: p.seen()}, false, nil
	case a.Cursor != "" && a.Cursor == p.at.Next:
		return p.at, false, fault.New(fault.Corrupt, "cursor did not advance")
	case a.Cursor != "":
		return place{End: p.at.End, Seen: p.seen(), Next: a.Cursor}, stuck, nil
	case p.rows == 0:
		return p.at, false, fault.New(fault.Corrupt, "the vendor says there is more and sends none of it")
	}
	return place{End: p.at.End - 1, Done: p.at.End <= p.from}, stuck, nil
}

// seen is what was read of the oldest timestamp.
func (p *page) seen() map[string]int {
	seen := map[string]int{}
	for digest, c := range p.read {
		if c.at == p.low {
			seen[digest] = c.n
		}
	}
	return seen
}

// lenient leaves it to the row's encoder to reject a row with a member twice.
var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

func timestamp(raw []byte) (time.Time, bool) {
	var event struct {
		Timestamp time.Time `json:"timestamp"`
	}
	err := json.Unmarshal(raw, &event, lenient)
	return event.Timestamp, err == nil && !event.Timestamp.IsZero()
}

// digest is half a SHA-256 of the event in canonical form (RFC 8785), in hex: the
// vendor may order the members as it likes.
func digest(raw []byte) (string, error) {
	canonical := jsontext.Value(raw).Clone()
	if err := canonical.Canonicalize(lenient); err != nil {
		return "", fault.New(fault.Corrupt, "an event is not valid JSON")
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:16]), nil
}

func stamp(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339Nano) }
