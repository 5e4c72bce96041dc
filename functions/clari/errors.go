package clari

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
)

var (
	errQuarter = errors.New("wrong quarter")
	errLost    = errors.New("the vendor does not know the job, or says that it is somebody else's")
	errType    = errors.New("this tenant does not export one of the types that were asked for")
)

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
	if err != nil && !errors.Is(err, errQuarter) { // the job stays ours: its results can be fetched again
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
	"type_not_supported":      fault.Wrap(fault.Invalid, errType),
	"bad_request":             fault.New(fault.Invalid, "Clari does not take the request as its specification has it: has the API changed?"),
}

// classify reads the vendor's own codes (sheet §5).
func classify(status int, _ http.Header, body []byte) error {
	var in struct {
		Code string `json:"code"`
	}
	if status < http.StatusBadRequest && bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) {
		return fault.New(fault.Transient, "a web page instead of an answer: is the base URL right, is Clari in maintenance?")
	}
	if status < http.StatusBadRequest {
		return nil
	}
	_ = json.Unmarshal(body, &in, jsontext.AllowDuplicateNames(true)) // else there is no code
	switch {
	case in.Code == "export_monthly_quota_reached": // the quota or the jobs at a time, although there was room a moment ago
		return fault.LimitedUntil(time.Now().Add(busy), "Clari takes no more jobs now (%s)", in.Code)
	case in.Code == "invalid_jobId": // a job that is done a moment before its results, or long ago
		return fault.New(fault.Transient, "status %d (%s): %w", status, in.Code, errLost)
	case in.Code == "SWW": // "something went wrong"
		return fault.New(fault.Transient, "status %d (%s)", status, in.Code)
	case advice[in.Code] != nil:
		return fmt.Errorf("status %d (%s): %w", status, in.Code, advice[in.Code])
	case status == http.StatusForbidden:
		return fault.New(fault.Auth, "status 403: %w; else, give the API key's user access to exports", errLost)
	case status == http.StatusNotFound, status == http.StatusGone:
		return fault.New(fault.NotFound, "status %d: %w; else, check CLARI_BASE_URL, which ends in /v4", status, errLost)
	case status == http.StatusUnauthorized:
		return fault.New(fault.Auth, "status 401: Clari refuses the API key: was it revoked, or its user deactivated? Make one in Settings, API Token, and set CLARI_API_KEY")
	}
	return nil
}
