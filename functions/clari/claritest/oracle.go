package claritest

import (
	"encoding/json"
	"strings"
)

// Tables lists the tables that the twin has rows for.
func Tables() []string {
	return []string{"forecast_entries", "users", "fields", "time_periods", "time_frames"}
}

// Rows is what a reader must have in a table: the exports that were fetched, merged
// in the order of their queuing, each row with the vendor's names and the columns
// forecast_id and time_period_id where the key needs them. Nothing is ever removed.
// Numbers are json.Number. The order is that of the rows' first appearance.
func (s *Server) Rows(table string) (out []map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := map[string]int{}
	for _, j := range s.jobs {
		if j.fetched == 0 {
			continue
		}
		for _, a := range s.view(j).arrays() {
			if a.table != table {
				continue
			}
			for raw := range a.rows {
				row := j.row(table, raw)
				k := Key(table, row)
				i, known := at[k]
				if !known {
					at[k] = len(out)
					out = append(out, row)
					continue
				}
				out[i] = row
			}
		}
	}
	return out
}

// row decodes a row and adds what its key needs and the vendor does not repeat.
func (j *job) row(table string, raw []byte) map[string]any {
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	var row map[string]any
	if err := d.Decode(&row); err != nil {
		panic("claritest: own row is not JSON: " + err.Error())
	}
	switch table {
	case "forecast_entries", "fields":
		row["forecast_id"] = j.forecast
	case "time_frames":
		row["time_period_id"] = j.q.id
	}
	return row
}

// Key is the identity of a row that [Server.Rows] gave, its parts joined by |.
func Key(table string, row map[string]any) string {
	keys := map[string][]string{
		"forecast_entries": {"forecast_id", "timePeriodId", "timeFrameId", "userId", "fieldId"},
		"users":            {"userId"},
		"fields":           {"forecast_id", "fieldId"},
		"time_periods":     {"timePeriodId"},
		"time_frames":      {"time_period_id", "timeFrameId"},
	}
	var parts []string
	for _, k := range keys[table] {
		text, _ := row[k].(string)
		parts = append(parts, text)
	}
	return strings.Join(parts, "|")
}

// Count is how many rows [Server.Rows] gives for a table.
func (s *Server) Count(table string) int { return len(s.Rows(table)) }
