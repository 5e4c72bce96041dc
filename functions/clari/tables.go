package clari

import (
	"time"

	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/record"
)

// The tables, each with the array of the export that fills it. All are merged and
// nothing is ever deleted: a newer export leaves out people who are no longer opted
// in, for every quarter (sheet §6.1).
var arrays = []struct {
	array string
	extract.Table
}{
	{"entries", table[entry]("forecast_entries", "What each person forecast, by field and week of a quarter.")},
	{"users", table[user]("users", "People and their place in the hierarchy; a change of role gives a person another user_id.")},
	{"fields", table[field]("fields", "Fields of a forecast.")},
	{"timePeriods", table[timePeriod]("time_periods", "Fiscal quarters.")},
	{"timeFrames", table[timeFrame]("time_frames", "Weeks of a quarter. The first may begin before the quarter; the same week may be in two.")},
}

func table[T any](name, doc string) extract.Table {
	t := extract.Table{Table: record.Table{Schema: "clari", Name: name, Doc: doc,
		Columns: record.Columns[T](), Key: record.Key[T](), Mode: record.Merge, Newest: "last_seen"}}
	if name == leading {
		t.Slices = extract.Objects()
	} else {
		t.Beside = leading
	}
	return t
}

const leading = "forecast_entries"

func tables() (out []extract.Table) {
	for _, a := range arrays {
		out = append(out, a.Table)
	}
	return out
}

// Values are binary fractions at the vendor's, printed with up to 17 digits: hence 18
// after the point. A key that is absent and one that is null both end as null.
type entry struct {
	ForecastID       string          `field:"forecast_id" key:"true" doc:"The forecast that was exported; the same field may come out of several."`
	TimePeriodID     string          `field:"timePeriodId" key:"true" doc:"Fiscal quarter, such as 2026_Q1."`
	TimeFrameID      string          `field:"timeFrameId" key:"true" doc:"Week, TF: and its first day."`
	UserID           string          `field:"userId" key:"true" doc:"Number and CRM role; a person has one for each role he had."`
	FieldID          string          `field:"fieldId" key:"true"`
	ForecastValue    *record.Decimal `field:"forecastValue" decimal:"38,18" mnpi:"true"`
	QuotaValue       *record.Decimal `field:"quotaValue" decimal:"38,18" mnpi:"true"`
	AdjustmentValue  *record.Decimal `field:"adjustmentValue" decimal:"38,18" mnpi:"true"`
	AggregationTotal *record.Decimal `field:"aggregationTotal" decimal:"38,18" mnpi:"true" doc:"Probably what the CRM adds up to (assumed)."`
	Currency         *record.JSON    `field:"currency" doc:"Code and symbol."`
	IsUpdated        *bool           `field:"isUpdated"`
	UpdatedBy        *string         `field:"updatedBy" pii:"name"`
	UpdatedOn        *time.Time      `field:"updatedOn" doc:"Last edit; absent of untouched entries."`
	AdjustedBy       *string         `field:"adjustedBy" pii:"name"`
	AdjustedOn       *time.Time      `field:"adjustedOn"`
	LastSeen         time.Time       `field:"last_seen" doc:"Clock of the newest run whose export had the row."`
}

type user struct {
	UserID              string    `field:"userId" key:"true"`
	CRMID               *string   `field:"crmId" doc:"The person, over all roles."`
	Email               *string   `field:"email" pii:"email"`
	Name                *string   `field:"name" pii:"name"`
	HierarchyID         *string   `field:"hierarchyId"`
	HierarchyName       *string   `field:"hierarchyName"`
	ParentHierarchyID   *string   `field:"parentHierarchyId"`
	ParentHierarchyName *string   `field:"parentHierarchyName"`
	ScopeID             *string   `field:"scopeId" doc:"A text that contains JSON."`
	LastSeen            time.Time `field:"last_seen" doc:"Clock of the newest run whose export had the row."`
}

type field struct {
	ForecastID string    `field:"forecast_id" key:"true"`
	FieldID    string    `field:"fieldId" key:"true"`
	FieldName  *string   `field:"fieldName"`
	FieldType  *string   `field:"fieldType"`
	LastSeen   time.Time `field:"last_seen" doc:"Clock of the newest run whose export had the row."`
}

type timePeriod struct {
	TimePeriodID string     `field:"timePeriodId" key:"true"`
	Type         *string    `field:"type"`
	Label        *string    `field:"label"`
	Year         *string    `field:"year" doc:"Fiscal year."`
	StartDate    *time.Time `field:"startDate" date:"true"`
	EndDate      *time.Time `field:"endDate" date:"true" doc:"Inclusive."`
	CRMID        *string    `field:"crmId"`
	LastSeen     time.Time  `field:"last_seen" doc:"Clock of the newest run whose export had the row."`
}

type timeFrame struct {
	TimePeriodID string     `field:"timePeriodId" key:"true" doc:"The quarter that was exported."`
	TimeFrameID  string     `field:"timeFrameId" key:"true"`
	StartDate    *time.Time `field:"startDate" date:"true"`
	EndDate      *time.Time `field:"endDate" date:"true" doc:"Inclusive; entries change until 08:00 UTC of the day after."`
	LastSeen     time.Time  `field:"last_seen" doc:"Clock of the newest run whose export had the row."`
}
