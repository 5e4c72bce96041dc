package part

import (
	"bytes"
	"strconv"
	"time"
)

const (
	// An epoch number from here on counts milliseconds: in seconds it would lie
	// after the year 5100, in milliseconds it is 1973.
	epochMillis = 100_000_000_000
)

// appendMoment appends s, a date with an optional time and zone, as a timestamp
// in UTC. No zone means UTC. Warehouses keep microseconds; finer digits, which
// some vendors' formatters add, are cut.
func appendMoment(dst, s []byte) ([]byte, bool) {
	t, ok := parseMoment(s)
	if !ok {
		return dst, false
	}
	return appendTime(dst, t)
}

func appendTime(dst []byte, t time.Time) ([]byte, bool) {
	t = t.UTC()
	if t.Year() < 1 || t.Year() > 9999 {
		return dst, false
	}
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = appendDate(dst, year, int(month), day)
	dst = appendTwo(append(dst, ' '), hour)
	dst = appendTwo(append(dst, ':'), minute)
	dst = appendTwo(append(dst, ':'), second)
	return appendMicros(dst, t.Nanosecond()/1000), true
}

// The three below replace time.AppendFormat, which takes a layout apart each time
// and was a seventh of the whole.

func appendDate(dst []byte, year, month, day int) []byte {
	dst = appendTwo(appendTwo(dst, year/100), year%100)
	dst = appendTwo(append(dst, '-'), month)
	return appendTwo(append(dst, '-'), day)
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

// appendDay appends s as a date. A time of day must be midnight as written:
// cutting another one off would lose data.
func appendDay(dst, s []byte) ([]byte, bool) {
	t, ok := parseMoment(s)
	if !ok {
		return dst, false
	}
	return appendMidnight(dst, t)
}

func appendMidnight(dst []byte, t time.Time) ([]byte, bool) {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	if hour+minute+second+t.Nanosecond() != 0 || year < 1 || year > 9999 {
		return dst, false
	}
	return appendDate(dst, year, int(month), day), true
}

// epoch reads a JSON number as seconds since 1970, or milliseconds from 1e11 on.
func (e *Encoder) epoch(s []byte) (t time.Time, ok bool) {
	e.num, ok = appendDecimal(e.num[:0], s, 25, 9)
	if !ok {
		return t, false
	}
	n, ok := parseNumber(e.num)
	if !ok {
		return t, false
	}
	whole, err := strconv.ParseInt(string(n.whole), 10, 64)
	if err != nil {
		return t, false
	}
	nanos := int64(fraction(n.frac))
	if whole >= epochMillis {
		whole, nanos = whole/1000, whole%1000*1e6+nanos/1000
	}
	if n.negative {
		whole, nanos = -whole, -nanos
	}
	return time.Unix(whole, nanos).UTC(), true
}

// parseMoment reads 2006-01-02, then optionally a T or a space and 15:04 or
// 15:04:05 or 15:04:05.999999999, then optionally a zone. time.Parse would do,
// but needs a string for each value, and one layout for each of the shapes.
func parseMoment(s []byte) (t time.Time, ok bool) {
	if len(s) < 10 || s[4] != '-' || s[7] != '-' {
		return t, false
	}
	year, ok1 := number2(s[0:2])
	low, ok2 := number2(s[2:4])
	month, ok3 := number2(s[5:7])
	day, ok4 := number2(s[8:10])
	if !(ok1 && ok2 && ok3 && ok4) || month < 1 || month > 12 || day < 1 {
		return t, false
	}
	year = 100*year + low
	c, ok := parseClock(s[10:])
	if !ok {
		return t, false
	}
	zone := time.UTC
	if c.offset != 0 {
		zone = time.FixedZone("", c.offset)
	}
	t = time.Date(year, time.Month(month), day, c.hour, c.minute, c.second, c.nanos, zone)
	return t, t.Day() == day // the 30th of February is the 2nd of March
}

type clock struct{ hour, minute, second, nanos, offset int }

// parseClock reads what follows the date; nothing means midnight UTC.
func parseClock(s []byte) (c clock, ok bool) {
	if len(s) == 0 {
		return c, true
	}
	if len(s) < 6 || s[0] != 'T' && s[0] != 't' && s[0] != ' ' || s[3] != ':' {
		return c, false
	}
	hour, ok1 := number2(s[1:3])
	minute, ok2 := number2(s[4:6])
	if !ok1 || !ok2 || hour > 23 || minute > 59 {
		return c, false
	}
	c.hour, c.minute, s = hour, minute, s[6:]
	if len(s) >= 3 && s[0] == ':' {
		if c.second, ok = number2(s[1:3]); !ok || c.second > 59 {
			return c, false
		}
		s = s[3:]
		if len(s) > 1 && s[0] == '.' {
			d, rest := digits(s[1:])
			if len(d) == 0 {
				return c, false
			}
			c.nanos, s = fraction(d), rest
		}
	}
	c.offset, ok = parseZone(s)
	return c, ok
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
