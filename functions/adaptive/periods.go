package adaptive

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
)

// calendar is the instance's own: a month of it need not be a month.
type calendar struct {
	starts map[string]time.Time // code → first day
	first  string               // codes of the finest stratum
	last   string
}

// period is one of exportTime. Its end is exclusive.
type period struct {
	code, stratum string
	end           time.Time
}

// calendar asks for the instance's periods.
func (i *instance) calendar(ctx context.Context) (*calendar, error) {
	body, err := i.send(ctx, call{Method: "exportTime"})
	if err != nil {
		return nil, err
	}
	defer body.Close()
	strata := map[string][]period{}
	_, err = walk(body, func(e *element) error {
		if e.tag != "period" {
			return nil
		}
		end, err := time.Parse(time.DateOnly, e.attr("end"))
		if err != nil {
			return fault.New(fault.Corrupt, "period %s has no end that is a date", e.attr("code"))
		}
		p := period{e.attr("code"), e.attr("stratumId"), end}
		strata[p.stratum] = append(strata[p.stratum], p)
		return nil
	})
	if err == nil && len(strata) == 0 {
		err = fault.New(fault.Corrupt, "there is no period in the instance's calendar")
	}
	if err != nil {
		return nil, fmt.Errorf("exportTime: %w", err)
	}
	return newCalendar(strata), nil
}

// newCalendar finds where periods begin: where the one before in their stratum ends.
// Before the first of a stratum there is none; it is taken to be as many months long
// as the second.
func newCalendar(strata map[string][]period) *calendar {
	cal := &calendar{starts: map[string]time.Time{}}
	finest := 0
	for _, ps := range strata {
		slices.SortFunc(ps, func(a, b period) int { return cmp.Or(a.end.Compare(b.end), cmp.Compare(a.code, b.code)) })
		for n, p := range ps {
			if n > 0 {
				cal.starts[p.code] = ps[n-1].end
			} else {
				cal.starts[p.code] = p.end.AddDate(0, -months(ps), 0)
			}
		}
		if len(ps) > finest {
			finest, cal.first, cal.last = len(ps), ps[0].code, ps[len(ps)-1].code
		}
	}
	return cal
}

// months is how long the second period is; of one alone, a month if it is of the
// form 01/2026, a quarter if it is Q1-2026, else a year.
func months(ps []period) int {
	if len(ps) > 1 {
		a, b := ps[0].end, ps[1].end
		if n := int(b.Month()) - int(a.Month()) + 12*(b.Year()-a.Year()); n > 0 {
			return n
		}
		return 1
	}
	switch code := ps[0].code; {
	case len(code) == 7 && code[2] == '/':
		return 1
	case len(code) == 7 && code[0] == 'Q':
		return 3
	}
	return 12
}

// span is a version's own where both ends are periods of the calendar, else all.
func (c *calendar) span(start, end string) *timeSpan {
	_, ok1 := c.starts[start]
	_, ok2 := c.starts[end]
	if ok1 && ok2 && len(start) == len(c.first) && len(end) == len(c.first) {
		return &timeSpan{start, end}
	}
	return &timeSpan{c.first, c.last}
}
