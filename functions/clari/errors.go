package clari

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
)

var errQuarter = errors.New("wrong quarter")

// check makes sure, before a row of it is staged, that a document is of the quarter
// that was asked for: Clari answers a quarter it does not know with the current one.
func (e export) check(body *rest.Body) error {
	var periods, entries int
	of := func(raw []byte, n *int) error {
		var in struct {
			ID string `json:"timePeriodId"`
		}
		if err := unmarshal(raw, &in); err != nil {
			return err
		}
		if *n++; in.ID != e.quarter {
			return fault.New(fault.Corrupt, "%w: asked for %s, Clari sent %.20q: is it a quarter of this fiscal calendar (CLARI_FISCAL_YEAR_START)?", errQuarter, e.quarter, in.ID)
		}
		return nil
	}
	none := func([]byte) error { return nil }
	_, err := rest.Arrays(body, map[string]func([]byte) error{
		"timePeriods": func(raw []byte) error { return of(raw, &periods) },
		"entries":     func(raw []byte) error { return of(raw, &entries) },
		"users":       none, "fields": none, "timeFrames": none})
	if err != nil && !errors.Is(err, errQuarter) { // the job's results can be fetched again
		return fault.New(fault.Transient, "%v", err)
	}
	if err == nil && periods == 0 && entries > 0 {
		err = fault.New(fault.Corrupt, "the export names no quarter: nobody knows what its %d entries are of", entries)
	}
	return err
}

// advice is what to do about an error that Clari has a code for.
var advice = map[string]error{
	"no_optin":                fault.New(fault.Auth, "the API key's user is not opted in to this forecast: have him opted in, or make a key of somebody who is at the top of the hierarchy"),
	"no_such_forecast_config": fault.New(fault.Invalid, "Clari has no such forecast: look at the address of the Forecast tab and correct CLARI_FORECASTS"),
	"missing_forecast_id":     fault.New(fault.Invalid, "CLARI_FORECASTS holds an empty id"),
	"type_not_supported":      fault.New(fault.Invalid, "this tenant does not export one of the types that were asked for"),
}

// classify reads the vendor's own codes (sheet §5).
func classify(status int, _ http.Header, body []byte) error {
	var in struct {
		Code string `json:"code"`
	}
	if status < http.StatusBadRequest && len(body) > 0 && body[0] == '<' {
		return fault.New(fault.Transient, "a web page instead of an answer: is the base URL right, is Clari in maintenance?")
	}
	if status < http.StatusBadRequest || json.Unmarshal(body, &in, jsontext.AllowDuplicateNames(true)) != nil && status != http.StatusUnauthorized {
		return nil
	}
	switch {
	case in.Code == "export_monthly_quota_reached": // although there was room a moment ago
		return fault.LimitedUntil(time.Now().Add(lookAgain/24), "Clari takes no more jobs now (%s)", in.Code)
	case in.Code == "SWW", in.Code == "invalid_jobId": // something went wrong; a job that is done a moment before its results
		return fault.New(fault.Transient, "status %d (%s)", status, in.Code)
	case advice[in.Code] != nil:
		return fmt.Errorf("status %d (%s): %w", status, in.Code, advice[in.Code])
	case status == http.StatusUnauthorized:
		return fault.New(fault.Auth, "status 401: Clari refuses the API key: was it revoked, or its user deactivated? Make one in Settings, API Token, and set CLARI_API_KEY")
	}
	return nil
}
