package salesforcetest

import (
	"bufio"
	"bytes"
	"net/http"
	"slices"
)

// results sends one of a job's three files.
func (s *Server) results(w *held, r request, j *job, what string) {
	states, ok := map[string][]byte{
		"successfulResults": {created, updated}, "failedResults": {failed}, "unprocessedrecords": {unprocessed},
	}[what]
	s.mu.Lock()
	ended, working := j.ended(), j.working
	s.mu.Unlock()
	switch {
	case !ok:
		missing(w)
		return
	case j.version != r.version:
		fail(w, http.StatusConflict, "API_VERSION_MISMATCH", "the job was created with version "+j.version)
		return
	case !ended || working:
		fail(w, http.StatusBadRequest, "INVALIDJOBSTATE", "the job has not ended")
		return
	}
	w.Header().Set("Content-Type", "text/csv")
	out := bufio.NewWriterSize(w.ResponseWriter, 64<<10) // a job that has ended needs no lock
	defer out.Flush()                                    // a client that has gone is no mistake of the twin's
	if what == "unprocessedrecords" && (j.fate.Garbled || j.broken != "") {
		out.WriteString(j.garbled())
		return
	}
	j.write(out, what, states)
}

// garbled is what comes of data that cannot be read: its rest, from the middle of a
// line on.
func (j *job) garbled() string {
	if j.broken == "" {
		return "\"a quote that nobody closes,\n" + j.text[j.body:]
	}
	return j.text
}

// write sends the rows of some states. A job that has ended changes no more, so it
// holds no lock.
func (j *job) write(out *bufio.Writer, what string, states []byte) {
	x := j.lexer()
	x.next()
	var line []byte
	switch what {
	case "successfulResults":
		line = append(line, `"sf__Id","sf__Created"`...)
	case "failedResults":
		line = append(line, `"sf__Id","sf__Error"`...)
	}
	if x.comma != ',' {
		line = bytes.ReplaceAll(line, []byte(","), []byte{x.comma})
	}
	for _, name := range x.cells { // names of columns are bare, unlike those two and all values
		if len(line) > 0 {
			line = append(line, x.comma)
		}
		line = append(line, name...)
	}
	out.Write(append(line, j.eol()...))
	for i := range j.rows {
		at := j.place(i)
		if o := &j.rows[at]; slices.Contains(states, o.state) {
			out.Write(j.line(line[:0], x, at))
		}
	}
}

func (j *job) eol() string {
	if j.ending == "CRLF" {
		return "\r\n"
	}
	return "\n"
}

// place shuffles: results do not come in the order of the upload.
func (j *job) place(i int) int {
	n := len(j.rows)
	if j.fate.inOrder || n < 2 {
		return i
	}
	step := 7919 // a prime; a multiple of it would leave rows out
	if n%step == 0 {
		step = 7927
	}
	return (i*step + n - 1) % n
}

func (j *job) line(to []byte, x *lexer, i int) []byte {
	o := &j.rows[i]
	x.at = int(o.start)
	x.next()
	id := ""
	if o.n >= 0 {
		id = idOf(j.t.Prefix, int(o.n))
	}
	switch o.state {
	case created, updated:
		to = append(quote(append(quote(to, id), x.comma), boolText(o.state == created)), x.comma)
	case failed:
		if o.n >= 0 && j.op == opUpsert {
			id = ""
		}
		to = append(quote(append(quote(to, id), x.comma), j.errs[i]), x.comma)
	}
	for k := range j.head { // as many as the header has, whatever the row had
		cell := ""
		if k < len(x.cells) {
			cell = x.cells[k]
		}
		if k > 0 {
			to = append(to, x.comma)
		}
		to = quote(to, cell)
	}
	return append(to, j.eol()...)
}
