package thoughtindustries

import (
	"context"
	"net/url"

	"github.com/go-json-experiment/json"

	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
)

// spot is where the reading of a list stands: the cursor that Page takes.
type spot struct {
	Next string `json:"next"` // cursor of the next page; "" = the first
	Last string `json:"last"` // cursor of the page read last
	Done bool   `json:"done,omitempty"`
}

// list reads all pages of a list, or those from where the last reading ended. The
// cursor to end with is the last page's own, so that the page is read again when
// it has grown.
func (a *academy) list(ctx context.Context, e endpoint, s extract.Slice, out *extract.Out) error {
	at := spot{}
	if s.Tail {
		at.Next = s.Start
	}
	err := resume(out.Cursor(), &at)
	for used := map[string]bool{}; err == nil && !at.Done; {
		used[at.Next] = true
		if at, err = a.listPage(ctx, e, at, out); err != nil {
			return err
		}
		if !at.Done && used[at.Next] {
			return fault.New(fault.Corrupt, "%s: cursor did not advance: the vendor sends pages in a circle", e.path)
		}
		err = out.Page(encode(at))
	}
	out.SetCursor(at.Last)
	return err
}

func (a *academy) listPage(ctx context.Context, e endpoint, at spot, out *extract.Out) (spot, error) {
	q := url.Values{}
	if at.Next != "" {
		q.Set("cursor", at.Next)
	}
	rows := 0
	next, err := a.page(ctx, e, q, out, func(raw []byte) error {
		rows++
		return out.Row(raw)
	})
	if err != nil {
		return at, err
	}
	more := rows > 0 && next.Cursor != ""
	if next.More != nil {
		more = *next.More
	}
	if more && next.Cursor == "" {
		return at, fault.New(fault.Corrupt, "%s: the vendor says there is more and gives no cursor", e.path)
	}
	return spot{Next: next.Cursor, Last: at.Next, Done: !more}, nil
}

// resume reads a cursor that Page was given, unless there is none yet.
func resume(cursor string, at any) error {
	if cursor == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(cursor), at); err != nil {
		return fault.New(fault.Invalid, "cursor in the ledger is not ours: read the slice again from its start")
	}
	return nil
}

func encode(at any) string {
	b, err := json.Marshal(at, json.Deterministic(true))
	if err != nil {
		panic(err) // plain data; cannot fail
	}
	return string(b)
}
