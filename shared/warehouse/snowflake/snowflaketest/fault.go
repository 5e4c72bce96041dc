package snowflaketest

import (
	"net/http"
	"strings"
	"time"
)

// Kind is what goes wrong.
type Kind int

// The kinds of faults.
const (
	// Slow waits Delay and then does what was asked.
	Slow Kind = iota
	// Unavailable answers 503 and does nothing.
	Unavailable
	// DropBefore closes the connection and does nothing.
	DropBefore
	// DropAfter does the statement and closes the connection without an answer. The
	// driver asks again with the same request id, and gets the answer then.
	DropAfter
	// Lose does the statement, closes the connection and ends the session: the
	// client never learns what became of it.
	Lose
	// Expire answers 390112 once; the driver renews its token and asks again.
	Expire
	// Gone ends the session: 390111.
	Gone
	// Refuse answers Code, State and Message and does nothing.
	Refuse
)

// Fault is one thing that goes wrong, where and how often.
type Fault struct {
	// On is how the statement begins ("COMMIT", "COPY INTO", case does not matter),
	// or the path of a request that is none ("/session/v1/login-request"). "" is any
	// statement.
	On    string
	Kind  Kind
	Skip  int           // matching statements to let pass first
	Times int           // how many to strike; 0 = one
	Delay time.Duration // before the statement is done, of every kind

	Code, State, Message string // of Refuse
}

// Locked is the refusal of a statement that waited too long for a lock.
func Locked(on string) Fault {
	return Fault{On: on, Kind: Refuse, Code: "000625", State: "57014", Message: "Statement was aborted because a lock was not released in time."}
}

// Inject makes the fault happen from now on. Several may wait; the first that
// matches strikes.
func (s *Server) Inject(f Fault) {
	if f.Times == 0 {
		f.Times = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// Pending tells how many injected faults are still to happen.
func (s *Server) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, f := range s.faults {
		n += f.Times
	}
	return n
}

// strike is the fault that befalls this statement or path, if any.
func (s *Server) strike(what string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	what = strings.ToUpper(strings.Join(strings.Fields(what), " "))
	for _, f := range s.faults {
		if f.Times == 0 || !strings.HasPrefix(what, strings.ToUpper(f.On)) || f.On == "" && strings.HasPrefix(what, "/") {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		f.Times--
		return f
	}
	return nil
}

// struck lets faults befall requests that are no statements.
func (s *Server) struck(w http.ResponseWriter, path string) bool {
	f := s.strike(path)
	if f == nil {
		return false
	}
	time.Sleep(f.Delay)
	switch f.Kind {
	case Unavailable:
		http.Error(w, "service unavailable", http.StatusServiceUnavailable)
	case DropBefore, DropAfter, Lose:
		drop(w)
	case Refuse:
		refuse(w, f.Code, f.Message)
	default:
		return false
	}
	return true
}

// befallBefore is what happens instead of the statement.
func (s *Server) befallBefore(w http.ResponseWriter, r *http.Request, one *session, f *Fault) bool {
	switch f.Kind {
	case Unavailable:
		http.Error(w, "service unavailable", http.StatusServiceUnavailable)
	case DropBefore:
		drop(w)
	case Expire:
		s.mu.Lock()
		s.expired[tokenOf(r)] = true
		s.mu.Unlock()
		refuse(w, "390112", "Session token has expired. Please renew it.")
	case Gone:
		s.end(one)
		refuse(w, "390111", "Session no longer exists. New login required to access the service.")
	default:
		return false
	}
	return true
}

// befallAfter is what happens to the answer of a statement that was done.
func (s *Server) befallAfter(w http.ResponseWriter, q *query, f *Fault) bool {
	switch f.Kind {
	case Lose:
		s.end(q.session)
		drop(w)
	case DropAfter:
		drop(w)
	default:
		return false
	}
	return true
}

// drop closes the connection without an answer.
func drop(w http.ResponseWriter) {
	if h, ok := w.(http.Hijacker); ok {
		if c, _, err := h.Hijack(); err == nil {
			c.Close()
			return
		}
	}
	panic(http.ErrAbortHandler)
}
