package salesforcetest

import (
	"fmt"
	"strings"
	"time"
)

// How rows of a job are worked on; the sheet.
const (
	chunkRows = 200    // at a time
	batchRows = 10_000 // in one batch; batches run in parallel
)

// column is what a header says.
type column struct {
	field  int
	parent string // external id of the parent, of a header such as Account.DW_Key__c
}

// outcome is what became of a row, which is text[start:end].
type outcome struct {
	start, end uint32
	n          int32 // record; -1 = none
	state      byte  // one of those below
}

const (
	unprocessed byte = iota
	created
	updated
	failed
)

// process brings a closed job to its end. Others are answered between its chunks.
func (s *Server) process(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j.ended() || j.state == stateOpen || j.working || !j.ingest {
		return
	}
	j.state, j.working = stateWorking, true
	began := time.Now()
	message := s.open(j)
	var f *fight
	if s.o.Contention && message == "" {
		f = &fight{busy: s.busy(j), seen: map[string]int{}}
	}
	for message == "" && !j.ended() {
		from := j.done
		if f != nil {
			f.batch = from / batchRows
		}
		if j.fate.Fail && from >= j.fate.Rows {
			message = j.fate.Message
			def(&message, "InternalServerError : Batch was retried too often: the limit is 20")
			break
		}
		if from == len(j.rows) {
			break
		}
		to := min(from+chunkRows, len(j.rows))
		if j.fate.Fail {
			to = min(to, j.fate.Rows)
		}
		s.fight = f
		s.chunk(j, from, to)
		s.fight = nil
		s.mu.Unlock() // others may have their turn
		s.mu.Lock()
	}
	j.working, j.took = false, time.Since(began)
	if j.ended() { // it was aborted meanwhile
		return
	}
	j.message, j.modified, j.state = message, s.o.Now(), stateComplete
	if message != "" {
		j.state = stateFailed
	}
	j.gone = j.gone || j.fate.Gone
}

// open finds the columns and the rows of a job's data, once. What is wrong with all
// of it is said in the words of a failed job.
func (s *Server) open(j *job) (message string) {
	if j.rows == nil {
		j.rows = []outcome{}
		if j.broken = j.parse(); j.broken != "" {
			j.rows = []outcome{}
		}
	}
	return j.broken
}

func (j *job) parse() (message string) {
	x := j.lexer()
	_, end, f, ok := x.next()
	if !ok {
		return ""
	}
	j.body = end
	if f == endings {
		return "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is " + j.ending
	}
	if j.head, message = j.columns(x.cells); message != "" {
		return message
	}
	for {
		start, end, f, ok := x.next()
		if !ok {
			return ""
		}
		if f == endings {
			return "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is " + j.ending
		}
		if f == open {
			return "InvalidBatch : Failed to parse CSV: a quote is not closed"
		}
		j.rows = append(j.rows, outcome{uint32(start), uint32(end), -1, unprocessed})
	}
}

func (j *job) lexer() *lexer {
	return &lexer{text: j.text, comma: delimiters[j.delimiter], crlf: j.ending == "CRLF"}
}

// columns reads the header: names exactly as they are, or a parent's external id.
func (j *job) columns(names []string) (out []column, message string) {
	for _, name := range names {
		if i, ok := j.t.byName[name]; ok {
			out = append(out, column{field: i})
			continue
		}
		relation, parent, dotted := strings.Cut(name, ".")
		i := j.t.relationship(relation)
		if !dotted || i < 0 {
			return nil, "InvalidBatch : Field name not found : " + name
		}
		out = append(out, column{i, parent})
	}
	return out, ""
}

// chunk does some rows. Keys that are there twice within it fail, all of them.
func (s *Server) chunk(j *job, from, to int) {
	x := j.lexer()
	changes, errs := make([]change, 0, to-from), make([]*rowError, to-from)
	same := make(map[string]int, to-from)
	for i := from; i < to; i++ {
		c, err := s.change(j, x, i)
		errs[i-from] = err
		changes = append(changes, c)
		if c.key.text != "" && j.op != opInsert {
			same[j.t.same(c.key)]++
		}
	}
	for i, c := range changes {
		n, isNew, err := -1, false, errs[i]
		if err == nil && c.key.text != "" && j.op != opInsert && same[j.t.same(c.key)] > 1 {
			err = j.t.duplicate(c.key)
		}
		if err == nil {
			n, isNew, err = s.apply(j.t, c)
		}
		j.record(from+i, n, isNew, err)
	}
}

func (j *job) record(i, n int, isNew bool, err *rowError) {
	o := &j.rows[i]
	o.n = int32(n)
	j.done++
	switch {
	case err != nil:
		o.state, j.errs[i] = failed, err.text()
		j.fail++
	case isNew:
		o.state = created
	default:
		o.state = updated
	}
}

// change reads a row. An empty cell leaves a field alone, #N/A empties it.
func (s *Server) change(j *job, x *lexer, i int) (c change, wrong *rowError) {
	c = change{op: j.op, key: cell{field: j.key}, via: j.id, cells: make([]cell, 0, len(j.head)+1)}
	x.at = int(j.rows[i].start)
	_, _, f, _ := x.next()
	if f == spaced {
		return c, bad("CLIENT_INPUT_ERROR", "a quote stands within a value, or a space beside it")
	}
	if len(x.cells) != len(j.head) {
		return c, bad("CLIENT_INPUT_ERROR", fmt.Sprintf("the row has %d columns, the header has %d", len(x.cells), len(j.head)))
	}
	for k, text := range x.cells {
		h := j.head[k]
		field := &j.t.Fields[h.field]
		switch {
		case text == "":
			continue
		case h.field == j.key && h.parent == "" && j.op != opInsert:
			if text != "#N/A" {
				c.key.text = text
			}
			if value, ok := field.read(c.key.text); ok && field.system != "Id" {
				c.key.text = value
			}
			continue
		case j.op == opDelete:
			continue
		case text == "#N/A":
			text = ""
		case h.parent != "":
			id, err := s.parent(field, h.parent, text)
			if err != nil {
				return c, err
			}
			text = id
		}
		value, ok := field.read(text)
		if !ok && (field.Type == "reference" || field.Type == "id") {
			return c, bad("MALFORMED_ID", field.Name+": id value of incorrect type: "+text, field.Name)
		}
		if !ok {
			return c, bad("INVALID_FIELD", fmt.Sprintf("Failed to deserialize field at col %d. Due to, '%s' is not a valid value for the type %s", k, text, field.xsd()), field.Name)
		}
		c.cells = append(c.cells, cell{h.field, value})
	}
	return c, nil
}

// busy are the parents that other jobs, closed and not ended, want to lock.
func (s *Server) busy(but *job) map[string]bool {
	out := map[string]bool{}
	for _, j := range s.jobs {
		if j == but || !j.ingest || j.ended() || j.state == stateOpen || s.open(j) != "" {
			continue
		}
		x := j.lexer()
		for i := j.done; i < len(j.rows); i++ {
			c, err := s.change(j, x, i)
			if err != nil {
				continue
			}
			n, err := j.t.target(c)
			if err != nil {
				continue
			}
			for k := range j.t.Fields {
				if j.t.Fields[k].Locks {
					out[j.t.after(n, c, k)] = true
				}
			}
		}
	}
	return out
}
