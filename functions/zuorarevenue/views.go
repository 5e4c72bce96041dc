package zuorarevenue

import (
	"slices"
	"strings"
	"time"

	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/record"
)

const (
	// daily is less than a day, so that a schedule which fires a few seconds early
	// does not leave out a day.
	daily  = 20 * time.Hour
	weekly = 7*24*time.Hour - 4*time.Hour

	updated = "incr_updt_dt" // the vendor's own version of a row; every view has it
)

// view is a BI view that can be read. Keys are those by which GitLab's public dbt
// models tell rows apart, read 2026-08; the vendor's own list is not public.
type view struct {
	name, doc string
	key       []string
	full      bool // also where the mode is incremental
}

// views are in the order in which they are read: what others refer to first.
var views = []view{
	{"BI3_ACCT_TYPE", "Account types.", []string{"id"}, false},
	{"BI3_BOOK", "Books.", []string{"id"}, false},
	{"BI3_CALENDAR", "Periods of the calendar; an id is like 202501.", []string{"id"}, false},
	{"BI3_ORG", "Organisations.", []string{"id"}, false},
	{"BI3_APPR_DTL", "Approvals of contracts.", []string{"rc_appr_id", "approver_sequence", "approval_rule_id"}, false},
	{"BI3_RC_HOLD", "Holds on contracts.", []string{"rc_hold_id"}, false},
	{"BI3_RC_HEAD", "Revenue contracts.", []string{"id"}, false},
	{"BI3_RC_POB", "Performance obligations.", []string{"rc_pob_id"}, false},
	{"BI3_RC_LNS", "Contract lines, of some 336 columns.", []string{"id"}, false},
	{"BI3_RC_BILL", "Bills.", []string{"id"}, false},
	{"BI3_RC_LN_COST", "Costs of contract lines; its key is not known.", nil, true},
	{"BI3_MJE", "Lines of manual journals.", []string{"je_line_id"}, false},
	{"BI3_RC_SCHD_DEL", "Schedules that were deleted.", []string{"schd_id"}, false},
	{"BI3_RC_SCHD", "Revenue schedules.", []string{"schd_id", "acctg_type"}, false},
	{"BI3_RI_ACCT_SUMM", "Pre-summary of accounts; its rows come and go with what they sum up.",
		[]string{"prd_id", "line_id", "root_line_id", "rc_id", "acct_type_id"}, true},
}

// derived are the views that we know and do not read.
var derived = map[string]string{
	"BI3_WF_SUMM":      "sum bi3_rc_schd by prd_id, post_prd_id and acctg_type",
	"BI3_LN_ACCT_SUMM": "sum bi3_rc_schd by line_id, prd_id and acctg_type",
}

// tables are all views, as a mode fills them.
func tables(incremental bool) []extract.Table {
	out := make([]extract.Table, len(views))
	for i, v := range views {
		out[i] = v.table(incremental && !v.full)
	}
	return out
}

func (v view) table(incremental bool) extract.Table {
	t := extract.Table{Slices: extract.Scans(daily, 0), Alone: true, Table: record.Table{
		Schema: "zuora_revenue", Name: strings.ToLower(v.name), Doc: v.doc, Key: v.key, Mode: record.ReplaceAll, Open: true,
		MNPI: true, // revenue that is not reported yet, under any column name
	}}
	for _, k := range v.key {
		t.Columns = append(t.Columns, record.Column{Name: k, Field: k, Type: record.Text, Doc: "Part of the key."})
	}
	t.Columns = append(t.Columns, record.Column{Name: updated, Field: updated, Type: record.Text, Nullable: true, Doc: "When the vendor changed the row last, by its own clock."})
	if !incremental {
		t.Rules = append(t.Rules, gate.AtLeast(1).At(gate.Warn))
		return t
	}
	t.Slices, t.TailMode, t.Newest = extract.Scans(weekly, daily), record.Merge, updated
	if v.name == schedules || v.name == deletions {
		t.Gone = &record.Gone{Table: strings.ToLower(schedules), Named: strings.ToLower(deletions), Column: "schd_id"}
	}
	return t
}

const schedules, deletions = "BI3_RC_SCHD", "BI3_RC_SCHD_DEL"

// choose is the tables of the views that were configured, all for none.
func choose(names []string, mode string) ([]extract.Table, error) {
	incremental := mode == "incremental"
	if !incremental && mode != "full" {
		return nil, fault.New(fault.Invalid, "ZUORA_REVENUE_MODE is %q, want full or incremental", mode)
	}
	wanted := map[string]bool{}
	for _, n := range names {
		n = strings.ToUpper(strings.TrimSpace(n))
		if instead, ok := derived[n]; ok {
			return nil, fault.New(fault.Invalid, "ZUORA_REVENUE_VIEWS names %s, which is derived from other views and not practical to read: take it out and %s", n, instead)
		}
		if n != "" && !slices.ContainsFunc(views, func(v view) bool { return v.name == n }) {
			return nil, fault.New(fault.Invalid, "ZUORA_REVENUE_VIEWS names %s, which is no view that we know; there are %s", n, strings.Join(known(), " "))
		}
		wanted[n] = true
	}
	delete(wanted, "")
	if incremental && wanted[schedules] && !wanted[deletions] {
		return nil, fault.New(fault.Invalid, "ZUORA_REVENUE_VIEWS names %s without %s, which an incremental reading needs to remove deleted schedules: add it", schedules, deletions)
	}
	return slices.DeleteFunc(tables(incremental), func(t extract.Table) bool {
		return len(wanted) > 0 && !wanted[strings.ToUpper(t.Name)]
	}), nil
}

func known() (out []string) {
	for _, v := range views {
		out = append(out, v.name)
	}
	return out
}
