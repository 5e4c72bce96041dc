package salesforcetest

import (
	"encoding/json"
	"net/http"
	"strings"
)

// problem is one element of an error's body.
type problem struct {
	Message string   `json:"message"`
	Code    string   `json:"errorCode"`
	Fields  []string `json:"fields,omitempty"`
}

// rowError is what is wrong with a row.
type rowError struct {
	code, message string
	fields        []string
}

// text is the form of sf__Error.
func (e *rowError) text() string {
	return e.code + ":" + e.message + ":" + strings.Join(e.fields, ",") + " --"
}

func bad(code, message string, fields ...string) *rowError { return &rowError{code, message, fields} }

// held keeps an answer until the lock is free: a client that does not read must not
// stop the others.
type held struct {
	http.ResponseWriter
	status int
	body   []byte
}

func (h *held) WriteHeader(status int) { h.status = status }

func (h *held) Write(p []byte) (int, error) {
	h.body = append(h.body, p...)
	return len(p), nil
}

// give sends what was kept.
func (h *held) give() {
	if h.status != 0 {
		h.ResponseWriter.WriteHeader(h.status)
	}
	h.ResponseWriter.Write(h.body)
}

func send(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps, lists and texts
	}
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(status)
	w.Write(body)
}

func fail(w http.ResponseWriter, status int, code, message string) {
	send(w, status, []problem{{Message: message, Code: code}})
}

func notAllowed(w http.ResponseWriter, r request) {
	fail(w, http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "HTTP Method '"+r.Method+"' not allowed.")
}

// missing is the answer for what is not there, or no longer.
func missing(w http.ResponseWriter) {
	fail(w, http.StatusNotFound, "NOT_FOUND", "The requested resource does not exist")
}
