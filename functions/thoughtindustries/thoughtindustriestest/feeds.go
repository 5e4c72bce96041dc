package thoughtindustriestest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"time"
)

const (
	dayMillis = 24 * 60 * 60 * 1000
	together  = 7    // base events that share a timestamp; no divisor of a page, so groups cross pages
	rowBytes  = 1400 // about the longest event
	twins     = 11   // in feeds without ids, every so many-th event repeats the one before it
)

// feed is one event feed: base events made from their number, and added ones.
type feed struct {
	kind   feedKind
	salt   uint64
	world  world
	from   int64 // epoch ms of the first day
	perDay int
	n      int     // base events
	added  []added // sorted by time; equal times in the order of adding
}

type added struct {
	at  int64
	raw []byte
}

// at is the time of base event i in epoch ms; it never falls as i grows. Groups of
// events share one, three of four groups a whole second. The last event of a day
// is in its last millisecond, the first in its first.
func (f *feed) at(i int) int64 {
	day, k := int64(i/f.perDay), i%f.perDay
	start := f.from + day*dayMillis
	if k == f.perDay-1 && k > 0 {
		return start + dayMillis - 1
	}
	g := k / together
	ms := int64(g) * together * dayMillis / int64(f.perDay)
	const roomy = 2000 // ms between groups, below which milliseconds could break the order
	if g%4 != 3 || together*dayMillis/f.perDay < roomy {
		ms -= ms % 1000
	}
	return start + ms
}

// event appends base event i.
func (f *feed) event(dst []byte, i int) []byte {
	content := i
	if f.kind.keyless && i%twins == twins-1 && f.at(i) == f.at(i-1) {
		content = i - 1
	}
	return f.make(dst, content, f.at(i))
}

func (f *feed) make(dst []byte, i int, at int64) []byte {
	return f.kind.make(dst, f.world.event(f.salt, i, at))
}

// page appends up to size events of [from, to] (epoch ms), newest first, and
// returns where each one ends, the oldest time, and how many more there are.
func (f *feed) page(dst []byte, from, to int64, size int) (_ []byte, ends []int, low int64, more int) {
	lo := sort.Search(f.n, func(i int) bool { return f.at(i) >= from })
	hi := sort.Search(f.n, func(i int) bool { return f.at(i) > to })
	a := sort.Search(len(f.added), func(i int) bool { return f.added[i].at >= from })
	b := sort.Search(len(f.added), func(i int) bool { return f.added[i].at > to })
	for len(ends) < size && (lo < hi || a < b) {
		if a < b && (lo >= hi || f.added[b-1].at > f.at(hi-1)) {
			b--
			dst, low = append(dst, f.added[b].raw...), f.added[b].at
		} else {
			hi--
			dst, low = f.event(dst, hi), f.at(hi)
		}
		ends = append(ends, len(dst))
	}
	return dst, ends, low, max(0, hi-lo) + max(0, b-a)
}

func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request, f *feed) {
	from, to, err := bounds(r.URL.Query())
	if err != nil {
		fail(w, http.StatusBadRequest, "invalid_date")
		return
	}
	raw, ends, low, more := f.page(make([]byte, 0, rowBytes*s.o.PageSize), from, to, s.o.PageSize)
	if s.o.Shuffle {
		raw, ends = shuffle(raw, ends)
	}
	cursor := ""
	if len(ends) > 0 && !s.o.NoCursor {
		cursor = base64.RawStdEncoding.EncodeToString(strconv.AppendInt(nil, low-1, 10))
	}
	s.answer(w, "events", raw, ends, cursor, more > 0)
}

// bounds reads the range; the cursor is the newest time wanted, as it seems to be
// at the vendor's.
func bounds(q url.Values) (from, to int64, err error) {
	from, to = 0, 1<<62
	for name, v := range map[string]*int64{"startDate": &from, "endDate": &to} {
		if text := q.Get(name); text != "" {
			if *v, err = strconv.ParseInt(text, 10, 64); err != nil || len(text) != 13 {
				return 0, 0, fmt.Errorf("%s is not 13 digits", name)
			}
		}
	}
	if c := q.Get("cursor"); c != "" {
		text, err := base64.RawStdEncoding.DecodeString(c)
		if err != nil {
			return 0, 0, err
		}
		at, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil {
			return 0, 0, err
		}
		to = min(to, at)
	}
	return from, to, nil
}

func shuffle(raw []byte, ends []int) (out []byte, outEnds []int) {
	order := rand.New(rand.NewPCG(1, uint64(len(raw)))).Perm(len(ends))
	for _, i := range order {
		start := 0
		if i > 0 {
			start = ends[i-1]
		}
		out = append(out, raw[start:ends[i]]...)
		outEnds = append(outEnds, len(out))
	}
	return out, outEnds
}

// Add puts events into a feed (by slug or table name). Each needs a timestamp in
// RFC 3339; an id is the caller's business. Bad ones panic: the caller is a test.
func (s *Server) Add(feed string, events ...map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.feed(feed)
	for _, e := range events {
		text, _ := e["timestamp"].(string)
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			panic(fmt.Sprintf("thoughtindustriestest: event of %s: timestamp %q is not RFC 3339", feed, text))
		}
		raw, err := json.Marshal(e)
		if err != nil {
			panic(fmt.Sprintf("thoughtindustriestest: event of %s: %v", feed, err))
		}
		f.add(at.UnixMilli(), raw)
	}
}

// Late adds n events of the given time to a feed, as an integration does that
// delivers late. They have ids and contents of their own.
func (s *Server) Late(feed string, at time.Time, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.feed(feed)
	for range n {
		ms := at.UnixMilli()
		f.add(ms, f.make(nil, f.n+len(f.added), ms))
	}
}

func (f *feed) add(at int64, raw []byte) {
	i := sort.Search(len(f.added), func(i int) bool { return f.added[i].at > at })
	f.added = slices.Insert(f.added, i, added{at, raw})
}

func (s *Server) feed(name string) *feed {
	for _, f := range s.feeds {
		if name == f.kind.slug || name == f.kind.table {
			return f
		}
	}
	panic(fmt.Sprintf("thoughtindustriestest: no feed %q", name))
}
