package warehouse

import "github.com/millrace-data/millrace/shared/record"

const controlSchema = "millrace"

// control is the control tables: the only state there is, and a public interface.
// Users query them; see the README.
var control = []record.Table{
	{Schema: controlSchema, Name: "slices", Columns: columns(
		"function text", "table_name text", "slice text", "purpose text", "source text",
		"range_from timestamp", "range_to timestamp", "state text", "fence integer", "owner text",
		"lease_until timestamp", "attempt integer", "cursor text", "vendor_cursor text", "manifest text", "digest text",
		"rows_source integer", "rows_staged integer", "rows_rejected integer", "rows_loaded integer", "bytes integer",
		"error_kind text", "error text", "paused_until timestamp",
		"planned_at timestamp", "claimed_at timestamp", "staged_at timestamp", "loaded_at timestamp", "updated_at timestamp")},
	{Schema: controlSchema, Name: "marks", Columns: columns(
		"function text", "table_name text", "mark timestamp", "cursor text", "updated_at timestamp")},
	{Schema: controlSchema, Name: "runs", Columns: columns(
		"run text", "function text", "step text", "table_name text", "slice text", "fence integer", "outcome text",
		"rows integer", "bytes integer", "pages integer", "requests integer", "retries integer", "quota_left integer",
		"started_at timestamp", "took_ms integer", "error_kind text", "error text")},
	{Schema: controlSchema, Name: "checks", Columns: columns(
		"function text", "table_name text", "slice text", "fence integer", "rule text", "observed text",
		"expected text", "verdict text", "checked_at timestamp", "value text")},
	{Schema: controlSchema, Name: "rejects", Columns: columns(
		"reject text", "function text", "table_name text", "slice text", "row json", "reason text", "rule text",
		"first_seen timestamp", "last_seen timestamp", "attempts integer", "state text")},
	{Schema: controlSchema, Name: "drift", Columns: columns(
		"function text", "table_name text", "field text", "kind text", "slice text",
		"first_seen timestamp", "last_seen timestamp")},
	{Schema: controlSchema, Name: "inbox", Columns: columns(
		"event text", "consumer text", "seen_at timestamp")},
	{Schema: controlSchema, Name: "resyncs", Columns: columns(
		"resync text", "function text", "table_name text", "outcome text", "rows_live integer", "rows_shadow integer",
		"added integer", "removed integer", "changed integer", "same integer", "error text", "compared_at timestamp")},
	{Schema: controlSchema, Name: "differences", Columns: columns(
		"resync text", "function text", "table_name text", "kind text", "key json", "columns text")},
	{Schema: controlSchema, Name: "sync_plans", Columns: columns(
		"plan text", "sync text", "object text", "operation text", "undoes text", "hash text", "job text", "state text",
		"creates integer", "updates integer", "deletes integer", "blankings integer", "zeroings integer",
		"unchanged integer", "rejected integer", "kept integer", "blocked text", "planned_at timestamp",
		"approved_by text", "approved_at timestamp", "approved_hash text", "fence integer", "owner text", "lease_until timestamp",
		"sent integer", "failed integer", "unprocessed integer", "applied_at timestamp", "paused_until timestamp",
		"next text", "error text", "updated_at timestamp")},
	{Schema: controlSchema, Name: "sync_rows", Columns: columns(
		"plan text", "n integer", "key text", "kind text", "field text", "before text", "after text",
		"part integer", "state text", "destination_id text", "code text", "error text", "accepted text")},
	{Schema: controlSchema, Name: "sync_jobs", Columns: columns(
		"plan text", "part integer", "attempt integer", "way text", "job text", "state text", "rows integer",
		"sent integer", "failed integer", "unprocessed integer", "error text", "created_at timestamp", "updated_at timestamp")},
	{Schema: controlSchema, Name: "sync_sent", Columns: columns(
		"sync text", "object text", "key text", "destination_id text", "accepted text", "plan text", "sent_at timestamp")},
}

// columns reads "name type" pairs.
func columns(defs ...string) []record.Column {
	out := make([]record.Column, len(defs))
	for i, d := range defs {
		for j := range d {
			if d[j] == ' ' {
				out[i] = record.Column{Name: d[:j], Type: record.Type(d[j+1:]), Nullable: true}
			}
		}
	}
	return out
}
