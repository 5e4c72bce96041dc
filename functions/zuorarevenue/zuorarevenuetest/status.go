package zuorarevenuetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// status answers for biviews-status and biviews-status/TASK.
func (s *Server) status(w http.ResponseWriter, r *http.Request, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	t := s.task(id, nil)
	switch {
	case id == "":
		s.allTasks(w, now)
	case t == nil || t.state(now) == "gone":
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodDelete:
		t.gone = true
		send(w, `{"status":"Success"}`)
	case s.o.BareStatus:
		send(w, fmt.Sprintf(`{"task_state":%q}`, t.state(now)))
	default:
		s.oneTask(w, t, now)
	}
}

var states = []string{"active", "completed", "draining", "stale"}

// allTasks has the tasks of the tenant in full, below result.
func (s *Server) allTasks(w http.ResponseWriter, now time.Time) {
	result, some := map[string][]any{}, false
	for _, state := range states {
		result[state] = []any{}
	}
	for _, t := range s.tasks {
		if state := t.state(now); slices.Contains(states, state) {
			some = true
			result[state] = append(result[state], t.report(now, "filter_param", t.n))
		}
	}
	if !some {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	reply(w, map[string]any{"result": result, "status": "Success"})
}

// oneTask has other names and types than allTasks: filter_params, a metric that is
// text, and mere ids unless the task is active.
func (s *Server) oneTask(w http.ResponseWriter, t *task, now time.Time) {
	doc := map[string]any{"status": "Success"}
	for _, state := range states {
		list := []any{}
		if t.state(now) == state {
			list = append(list, t.id)
			if state == "active" {
				list[0] = t.report(now, "filter_params", fmt.Sprint(t.n))
			}
		}
		doc[state] = list
	}
	reply(w, doc)
}

// report is the vendor's record of a task, its spelling included.
func (t *task) report(now time.Time, filter string, metric any) map[string]any {
	return map[string]any{
		"task_id": t.id, "status": "Running", "message": "", "accumulate": min(t.cached*t.size, t.n), "metric": metric,
		"activity_tracker": map[string]any{"elapsed_time": now.Sub(t.began).Seconds(), "initated_time": t.began.UTC().Format(stamp), "last_activity": t.last.UTC().Format(stamp)},
		"query_config":     map[string]any{"object_name": t.v.name, filter: map[string]any{"fromDate": t.from, "toDate": t.to}},
	}
}

func (s *Server) count(w http.ResponseWriter, r *http.Request, v *view) {
	from, to := r.URL.Query().Get("fromDate"), r.URL.Query().Get("toDate")
	if to == "" {
		to = "9999"
	}
	s.mu.Lock()
	n, _ := s.between(v, s.version, from, to)
	s.mu.Unlock()
	reply(w, map[string]any{"count": n})
}

// describe is in alphabetical order, which is not that of the files.
func (s *Server) describe(w http.ResponseWriter, v *view) {
	s.mu.Lock()
	_, columns := v.at(s.version)
	s.mu.Unlock()
	out := []map[string]any{}
	for _, c := range slices.Sorted(slices.Values(columns)) {
		out = append(out, map[string]any{"column_name": c, "data_type": "VARCHAR2", "data_length": 4000, "data_precision": nil, "data_scale": nil})
	}
	reply(w, out)
}

func reply(w http.ResponseWriter, doc any) {
	body, err := json.Marshal(doc)
	if err != nil {
		panic(err) // maps of texts and numbers
	}
	send(w, string(body))
}
