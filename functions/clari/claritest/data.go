package claritest

import (
	"bufio"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// quarter is a fiscal quarter: [first, end).
type quarter struct {
	id         string
	year, n    int
	first, end time.Time
}

const week = 7 * 24 * time.Hour

// from is when week k of the quarter begins; the first one a week early.
func (q quarter) from(k int) time.Time { return q.first.Add(time.Duration(k-1) * week) }

// week is the newest one that has data at t, from 0.
func (q quarter) week(t time.Time) int {
	if t.Before(q.first) {
		return 0
	}
	last := int(q.end.Add(-time.Nanosecond).Sub(q.from(0)) / week)
	return min(last, int(t.Sub(q.from(0))/week))
}

func (s *Server) calendar(t time.Time) quarter {
	t = t.UTC()
	for year := t.Year() - 1; ; year++ {
		for n := 1; n <= 4; n++ {
			if q := s.quarter(year, n); !t.Before(q.first) && t.Before(q.end) {
				return q
			}
		}
	}
}

func (s *Server) quarter(year, n int) quarter {
	begins := year
	if s.o.FiscalStart > time.January {
		begins--
	}
	first := time.Date(begins, s.o.FiscalStart+time.Month(3*(n-1)), 1, 0, 0, 0, 0, time.UTC)
	return quarter{fmt.Sprintf("%d_Q%d", year, n), year, n, first, first.AddDate(0, 3, 0)}
}

func (s *Server) parse(id string) quarter {
	var year, n int
	if _, err := fmt.Sscanf(id, "%d_Q%d", &year, &n); err != nil {
		panic("claritest: no quarter: " + id)
	}
	return s.quarter(year, n)
}

// event is something that happened to the data; an export knows those before it.
type event struct {
	left  int // the user that left, where edit is zero
	edit  key
	value string // JSON
}

type key struct {
	forecast, quarter string
	week, user, field int
}

// Leave takes user i (from 0) out of the organisation: exports queued from now on
// leave him out, for every quarter.
func (s *Server) Leave(i int) { s.happen(event{left: i}) }

// Edit changes what a user forecasts for a quarter's week (from 0) in a field of
// kind forecast. value is JSON; exports queued before keep the old one.
func (s *Server) Edit(forecast, quarter string, week, user int, value string) {
	s.happen(event{edit: key{forecast, quarter, week, user, 0}, value: value})
}

func (s *Server) happen(e event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

// view is the data as one job sees it.
type view struct {
	o     Options
	j     *job
	gone  map[int]bool
	edits map[key]string
}

func (s *Server) view(j *job) view {
	v := view{s.o, j, map[int]bool{}, map[key]string{}}
	for _, e := range s.events[:j.seen] {
		if e.edit == (key{}) {
			v.gone[e.left] = true
		} else {
			v.edits[e.edit] = e.value
		}
	}
	return v
}

// weeks are those that the export holds, not in order.
func (v view) weeks() (out []int) {
	if !v.j.historical {
		return []int{v.j.week}
	}
	for k := range v.j.week + 1 {
		out = append(out, (k+v.j.week/2)%(v.j.week+1))
	}
	return out
}

// UserID is how the API calls user i.
func UserID(i int) string { return fmt.Sprintf("%d:00E1X%012dUAE", 700000+person(i), i) }

// person is who user i is: the last of five is the second role of the one before.
func person(i int) int {
	if i%5 == 4 {
		return i - 1
	}
	return i
}

func (v view) luck(k key) uint64 {
	z := v.o.Seed*0x9e3779b97f4a7c15 + uint64(len(k.forecast))<<56 + uint64(k.week)<<40 + uint64(k.user)<<8 + uint64(k.field)
	for _, c := range k.quarter {
		z = z*31 + uint64(c)
	}
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// entries writes each entry; a slice is valid until the next.
func (v view) entries() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		var buf []byte
		for _, k := range v.weeks() {
			for u := range v.o.Users {
				for f := range v.o.Fields {
					if buf = v.entry(buf[:0], key{v.j.forecast, v.j.q.id, k, u, f}); !v.gone[u] && !yield(buf) {
						return
					}
				}
			}
		}
	}
}

// entry writes one entry. Keys that were not asked for, or that the field's kind
// does not have, are absent; a value that nobody has entered is null.
func (v view) entry(dst []byte, k key) []byte {
	luck := v.luck(k)
	dst = fmt.Appendf(dst, `{"timePeriodId":"%s","timeFrameId":"TF:%s","userId":"%s","fieldId":"%s"`,
		k.quarter, v.j.q.from(k.week).Format(time.DateOnly), UserID(k.user), fieldID(k.field))
	cents := strconv.FormatInt(int64(luck%100_000_000), 10)
	value := cents[:max(1, len(cents)-2)] + "." + strconv.Itoa(int(luck%9)) + "5"
	if luck>>40%7 == 0 {
		value = "null"
	}
	kind := kinds[k.field%len(kinds)]
	edited, ok := v.edits[k]
	if ok {
		value = edited
	}
	if kind == "quota" {
		if v.wants("quota") {
			dst = fmt.Appendf(dst, `,"quotaValue":%s`, value)
		}
		return append(dst, '}')
	}
	if v.wants("forecast") {
		dst = fmt.Appendf(dst, `,"forecastValue":%s,"currency":{"code":"USD","symbol":"$"}`, value)
	}
	updated := ok || luck>>20%3 == 0
	if v.wants("forecast_updated") {
		dst = fmt.Appendf(dst, `,"isUpdated":%t`, updated)
	}
	at := v.j.q.from(k.week).UnixMilli() + int64(luck%600_000_000)
	if updated && v.wants("forecast_updated") {
		dst = fmt.Appendf(dst, `,"updatedBy":"%s","updatedOn":%d`, names[person(k.user)%len(names)], at)
	}
	if kind == "adjusted" && v.wants("adjustment") {
		dst = fmt.Appendf(dst, `,"adjustmentValue":%s,"adjustedBy":"%s","adjustedOn":%d`, value, names[k.week%len(names)], at)
	}
	if kind == "total" && v.wants("crm_total") {
		dst = fmt.Appendf(dst, `,"aggregationTotal":%s`, value)
	}
	if kind == "total" && v.wants("crm_closed") {
		dst = fmt.Appendf(dst, `,"closedTotal":%d`, luck%1000)
	}
	return append(dst, '}')
}

func (v view) wants(kind string) bool { return slices.Contains(v.j.types, kind) }

var (
	kinds = []string{"forecast", "quota", "adjusted", "total"}
	names = []string{"Mira Holt", "Björn Ek", "Say \\\"Hi\\\" Roe", "Zoë O'Neill", "\u7530\u4e2d Ito", "Ana & Co"}
)

func fieldID(f int) string { return "fc_" + kinds[f%len(kinds)] + "_" + strconv.Itoa(f) }

// users, fields, timePeriods and timeFrames write the dimensions.
func (v view) users() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for u := range v.o.Users {
			p, parent, parentName := person(u), `"00E1X000000TopUAE"`, `"VP - North"`
			if u == 0 { // the top of the hierarchy
				parent, parentName = "null", `""`
			}
			if !v.gone[u] && !yield(fmt.Appendf(nil, `{"userId":"%s","crmId":"0051X%010dQAV","email":"user%d@example.com","name":"%s","hierarchyId":"00E1X%012dUAE","hierarchyName":"AE - %d","parentHierarchyId":%s,"parentHierarchyName":%s,"scopeId":"{\"type\":\"user\"}"}`,
				UserID(u), p, p, names[p%len(names)], u, u, parent, parentName)) {
				return
			}
		}
	}
}

func (v view) fields() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for f := range v.o.Fields {
			if !yield(fmt.Appendf(nil, `{"fieldId":"%s","fieldName":"%s of %s","fieldType":"%s"}`, fieldID(f), fieldID(f), v.j.forecast, kinds[f%len(kinds)])) {
				return
			}
		}
	}
}

func (v view) timePeriods() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		q := v.j.q
		yield(fmt.Appendf(nil, `{"timePeriodId":"%s","type":"quarter","label":"Quarter %d","year":"%d","startDate":"%s","endDate":"%s","crmId":"0261X%010dQAA"}`,
			q.id, q.n, q.year, q.first.Format(time.DateOnly), q.end.AddDate(0, 0, -1).Format(time.DateOnly), q.year*4+q.n))
	}
}

func (v view) timeFrames() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, k := range v.weeks() {
			from := v.j.q.from(k)
			if !yield(fmt.Appendf(nil, `{"timeFrameId":"TF:%s","startDate":"%[1]s","endDate":"%s"}`, from.Format(time.DateOnly), from.AddDate(0, 0, 6).Format(time.DateOnly))) {
				return
			}
		}
	}
}

// array is one of the five of a result.
type array struct {
	name, table string
	rows        iter.Seq[[]byte]
}

func (v view) arrays() []array {
	return []array{{"entries", "forecast_entries", v.entries()}, {"users", "users", v.users()}, {"fields", "fields", v.fields()},
		{"timePeriods", "time_periods", v.timePeriods()}, {"timeFrames", "time_frames", v.timeFrames()}}
}

// write sends a result, made while it is written.
func (s *Server) write(w http.ResponseWriter, j *job) {
	s.mu.Lock()
	v := s.view(j)
	s.mu.Unlock()
	arrays := v.arrays()
	if v.o.Reversed {
		slices.Reverse(arrays)
	}
	w.Header().Set("Content-Type", "application/json")
	out := bufio.NewWriterSize(w, 64<<10)
	defer out.Flush()
	sep := `{"`
	for _, a := range arrays {
		out.WriteString(sep + a.name + `":[`)
		sep = `],"`
		comma := ""
		for row := range a.rows {
			out.WriteString(comma)
			if _, err := out.Write(row); err != nil {
				return // the client is gone
			}
			comma = ","
		}
	}
	out.WriteString("]}")
}
