package part

import (
	"bytes"
	"strconv"
	"time"
)

// epochMillis is where an epoch number begins to count milliseconds: in seconds
// it lies after the year 5100, in milliseconds in 1973.
const epochMillis = 100_000_000_000

// moment is a point in time, taken apart, with the zone it was written in.
type moment struct {
	year, month, day            int
	hour, minute, second, nanos int
	offset                      int // seconds east of UTC
}

func momentOf(t time.Time) moment {
	t = t.UTC()
	m := moment{nanos: t.Nanosecond(), year: t.Year(), month: int(t.Month()), day: t.Day()}
	m.hour, m.minute, m.second = t.Clock()
	return m
}

// utc moves m to UTC; nearly all are there already.
func (m moment) utc() moment {
	if m.offset == 0 {
		return m
	}
	return momentOf(time.Date(m.year, time.Month(m.month), m.day, m.hour, m.minute, m.second-m.offset, m.nanos, time.UTC))
}

// appendTimestamp appends m in UTC. Warehouses keep microseconds; finer digits,
// which some vendors' formatters add, are cut.
func appendTimestamp(dst []byte, m moment) ([]byte, bool) {
	if m = m.utc(); m.year < 1 || m.year > 9999 {
		return dst, false
	}
	dst = appendDate(dst, m)
	dst = appendTwo(append(dst, ' '), m.hour)
	dst = appendTwo(append(dst, ':'), m.minute)
	dst = appendTwo(append(dst, ':'), m.second)
	return appendMicros(dst, m.nanos/1000), true
}

// appendDay appends m as a date. A time of day must be midnight as written:
// cutting another one off would lose data.
func appendDay(dst []byte, m moment) ([]byte, bool) {
	if m.hour+m.minute+m.second+m.nanos != 0 || m.year < 1 || m.year > 9999 {
		return dst, false
	}
	return appendDate(dst, m), true
}

// appendDate and its helpers stand for time.AppendFormat, which takes its layout
// apart for each value and was a seventh of all the time.
func appendDate(dst []byte, m moment) []byte {
	dst = appendTwo(appendTwo(dst, m.year/100), m.year%100)
	dst = appendTwo(append(dst, '-'), m.month)
	return appendTwo(append(dst, '-'), m.day)
}

func appendTwo(dst []byte, n int) []byte {
	return append(dst, byte('0'+n/10), byte('0'+n%10))
}

// appendMicros appends a fraction of a second without the zeros at its end.
func appendMicros(dst []byte, micros int) []byte {
	if micros == 0 {
		return dst
	}
	dst = append(dst, '.')
	for unit := 100_000; micros > 0; unit /= 10 {
		dst = append(dst, byte('0'+micros/unit))
		micros %= unit
	}
	return dst
}

// epoch reads a JSON number as seconds since 1970, or milliseconds from 1e11 on.
func (e *Encoder) epoch(s []byte) (m moment, ok bool) {
	e.num, ok = appendDecimal(e.num[:0], s, 25, 9)
	if !ok {
		return m, false
	}
	n, _ := parseNumber(e.num)
	whole, err := strconv.ParseInt(string(n.whole), 10, 64)
	if err != nil {
		return m, false
	}
	nanos := int64(fraction(n.frac))
	if whole >= epochMillis {
		whole, nanos = whole/1000, whole%1000*1e6+nanos/1000
	}
	if n.negative {
		whole, nanos = -whole, -nanos
	}
	return momentOf(time.Unix(whole, nanos)), true
}

// parseMoment reads 2006-01-02, then optionally a T or a space and 15:04 or
// 15:04:05 or 15:04:05.999999999, then optionally a zone; none means UTC.
// time.Parse would do, but needs a string for each value and a layout for each
// of the shapes.
func parseMoment(s []byte) (m moment, ok bool) {
	if len(s) < 10 || s[4] != '-' || s[7] != '-' {
		return m, false
	}
	high, ok1 := number2(s[0:2])
	low, ok2 := number2(s[2:4])
	month, ok3 := number2(s[5:7])
	day, ok4 := number2(s[8:10])
	m.year, m.month, m.day = 100*high+low, month, day
	if !(ok1 && ok2 && ok3 && ok4) || month < 1 || month > 12 || day < 1 || day > days(m.year, month) {
		return m, false
	}
	return m, m.parseClock(s[10:])
}

// days is the length of a month.
func days(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// parseClock reads what follows the date; nothing means midnight UTC.
func (m *moment) parseClock(s []byte) (ok bool) {
	if len(s) == 0 {
		return true
	}
	if len(s) < 6 || s[0] != 'T' && s[0] != 't' && s[0] != ' ' || s[3] != ':' {
		return false
	}
	if m.hour, ok = number2(s[1:3]); !ok || m.hour > 23 {
		return false
	}
	if m.minute, ok = number2(s[4:6]); !ok || m.minute > 59 {
		return false
	}
	if s = s[6:]; len(s) >= 3 && s[0] == ':' {
		if m.second, ok = number2(s[1:3]); !ok || m.second > 59 {
			return false
		}
		if s = s[3:]; len(s) > 0 && s[0] == '.' {
			d, rest := digits(s[1:])
			if len(d) == 0 {
				return false
			}
			m.nanos, s = fraction(d), rest
		}
	}
	m.offset, ok = parseZone(s)
	return ok
}

// parseZone reads Z, UTC, +02:00, +0200 or +02 into seconds east of UTC.
func parseZone(s []byte) (offset int, ok bool) {
	s = bytes.TrimPrefix(s, []byte(" "))
	switch string(s) {
	case "", "Z", "z", "UTC":
		return 0, true
	}
	if len(s) < 3 || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	hours, ok := number2(s[1:3])
	rest := bytes.TrimPrefix(s[3:], []byte(":"))
	minutes := 0
	if ok && len(rest) > 0 {
		minutes, ok = number2(rest)
	}
	if !ok || hours > 23 || minutes > 59 || len(rest) != 0 && len(rest) != 2 {
		return 0, false
	}
	offset = 3600*hours + 60*minutes
	if s[0] == '-' {
		offset = -offset
	}
	return offset, true
}

// number2 reads the two digits that s begins with.
func number2(s []byte) (int, bool) {
	if len(s) < 2 || s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9' {
		return 0, false
	}
	return 10*int(s[0]-'0') + int(s[1]-'0'), true
}

// fraction reads digits after a point as nanoseconds, cutting finer ones.
func fraction(d []byte) int {
	n := 0
	for i := range 9 {
		n = 10*n + int(digitAt(d, i)-'0')
	}
	return n
}
