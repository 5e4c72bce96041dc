// Package paymentstest is a payment provider that does nothing but answer: the
// vendor of the benchmarks, as an http.Handler.
//
// Rows are a function of their number, so any page can be written at any time
// without a store, and two runs read the same bytes. A thousand rows are a
// template into which numbers are written in place, which costs the machine
// little beside the code that is measured.
//
// The package knows no faults, quotas or tokens: the twins of the real vendors
// do.
package paymentstest

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Options size the provider.
type Options struct {
	Since   time.Time     // the first midnight, UTC
	Days    int           // days with rows; at least 1
	PerDay  int           // rows of each day, evenly spread; at least 1
	Page    int           // rows a page; 0 = 1,000
	Latency time.Duration // before each answer
}

// Rows is how many payments there are.
func (o Options) Rows() int { return o.Days * o.PerDay }

// Handler serves
//
//	GET /payments?from=T&to=T&page=N   rows created in [from, to), RFC 3339, pages from 1
//
// A page is {"payments":[…],"pageInfo":{"hasMore":…,"page":…}}.
func Handler(o Options) http.Handler {
	if o.Page == 0 {
		o.Page = 1000
	}
	s := &server{Options: o}
	for day := range o.Days {
		s.dates = append(s.dates, o.Since.AddDate(0, 0, day).Format(time.DateOnly))
	}
	s.blocks.New = func() any { b := template(); return &b }
	mux := http.NewServeMux()
	mux.HandleFunc("GET /payments", s.payments)
	return mux
}

type server struct {
	Options
	dates  []string  // by day since Since
	blocks sync.Pool // *[]byte: a thousand rows each, to be filled again and again
}

func (s *server) payments(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	from, err1 := time.Parse(time.RFC3339, q.Get("from"))
	to, err2 := time.Parse(time.RFC3339, q.Get("to"))
	page, err3 := strconv.Atoi(q.Get("page"))
	if err1 != nil || err2 != nil || err3 != nil || page < 1 {
		http.Error(w, `{"error":"from and to must be RFC 3339, page a number from 1"}`, http.StatusBadRequest)
		return
	}
	time.Sleep(s.Latency)
	last := s.first(to)
	lo := min(s.first(from)+(page-1)*s.Page, last)
	hi := min(lo+s.Page, last)
	tail := fmt.Sprintf(`],"pageInfo":{"hasMore":%t,"page":%d}}`, hi < last, page)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(head)+size(lo, hi)+len(tail)))
	io.WriteString(w, head)
	if s.write(w, lo, hi) == nil {
		io.WriteString(w, tail)
	}
}

const (
	head   = `{"payments":[`
	dayMS  = 24 * 60 * 60 * 1000
	blockN = 1000 // rows of the template
)

// first is the number of the first payment created at t or later.
func (s *server) first(t time.Time) int {
	ms := int(t.Sub(s.Since).Milliseconds())
	return min(max((ms*s.PerDay+dayMS-1)/dayMS, 0), s.Rows())
}

// size is the length of rows [lo, hi) with the commas between them.
func size(lo, hi int) int {
	if hi <= lo {
		return 0
	}
	return (hi-lo)*rowLen - 1
}

// write writes rows [lo, hi), a block at a time.
func (s *server) write(w io.Writer, lo, hi int) error {
	block := s.blocks.Get().(*[]byte)
	defer s.blocks.Put(block)
	buf := *block
	for lo < hi {
		n := min(blockN, hi-lo)
		for i := range n {
			s.fill(buf[i*rowLen:], lo+i)
		}
		end := n * rowLen
		if lo += n; lo == hi {
			end-- // the last comma
		}
		if _, err := w.Write(buf[:end]); err != nil {
			return err
		}
	}
	return nil
}
