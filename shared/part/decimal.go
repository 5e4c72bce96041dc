package part

import "bytes"

// maxExponent bounds the exponents that are worth telling apart: every column
// holds at most 38 digits, and no row has a hundred million.
const maxExponent = 100_000_000

// number is a decimal text taken apart: sign, digits around the point, exponent.
// The slices point into the text, so taking apart costs nothing.
type number struct {
	negative    bool
	whole, frac []byte
	exponent    int
}

// appendDecimal appends s as plain digits. It reports false, with dst unchanged,
// where s is no number, or has more non-zero digits after the point than scale
// or more digits before it than precision-scale. Nothing is rounded. A number
// that is plain already keeps its zeros as long as they fit.
func appendDecimal(dst, s []byte, precision, scale int) ([]byte, bool) {
	n, ok := parseNumber(s)
	if !ok {
		return dst, false
	}
	if n.exponent != 0 {
		return appendShifted(dst, n, precision, scale)
	}
	whole, frac := bytes.TrimLeft(n.whole, "0"), n.frac
	if len(frac) > scale {
		if len(bytes.TrimRight(frac[scale:], "0")) > 0 {
			return dst, false
		}
		frac = frac[:scale]
	}
	if len(whole) > precision-scale {
		return dst, false
	}
	dst = n.sign(dst)
	if len(whole) == 0 {
		dst = append(dst, '0')
	}
	dst = append(dst, whole...)
	if len(frac) > 0 {
		dst = append(append(dst, '.'), frac...)
	}
	return dst, true
}

// appendShifted is appendDecimal for a number with an exponent. It looks at the
// size first, so that 1e99999999 costs no memory.
func appendShifted(dst []byte, n number, precision, scale int) ([]byte, bool) {
	point := len(n.whole) + n.exponent // digits of digits before the point
	digits := append(append(make([]byte, 0, 64), n.whole...), n.frac...)
	point -= len(digits)
	digits = bytes.TrimLeft(digits, "0")
	point += len(digits)
	digits = bytes.TrimRight(digits, "0")
	if len(digits) == 0 {
		return append(dst, '0'), true
	}
	if point > precision-scale || len(digits)-point > scale {
		return dst, false
	}
	dst = n.sign(dst)
	if point <= 0 {
		dst = append(dst, '0')
	}
	for i := range max(point, 0) {
		dst = append(dst, digitAt(digits, i))
	}
	if point < len(digits) {
		dst = append(dst, '.')
	}
	for i := point; i < len(digits); i++ {
		dst = append(dst, digitAt(digits, i))
	}
	return dst, true
}

// digitAt is a digit of a number that goes on with zeros on both sides.
func digitAt(digits []byte, i int) byte {
	if i < 0 || i >= len(digits) {
		return '0'
	}
	return digits[i]
}

func (n number) sign(dst []byte) []byte {
	if n.negative {
		return append(dst, '-')
	}
	return dst
}

// parseNumber takes [+-]digits[.digits][e[+-]digits] apart. One side of the
// point may be empty, as in ".5", because spreadsheets write that.
func parseNumber(s []byte) (n number, ok bool) {
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		n.negative = s[0] == '-'
		s = s[1:]
	}
	n.whole, s = digits(s)
	if len(s) > 0 && s[0] == '.' {
		n.frac, s = digits(s[1:])
	}
	if len(n.whole)+len(n.frac) == 0 {
		return n, false
	}
	if len(s) > 0 && (s[0] == 'e' || s[0] == 'E') {
		n.exponent, s, ok = exponent(s[1:])
		return n, ok && len(s) == 0
	}
	return n, len(s) == 0
}

func exponent(s []byte) (e int, rest []byte, ok bool) {
	sign := 1
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		if s[0] == '-' {
			sign = -1
		}
		s = s[1:]
	}
	d, rest := digits(s)
	for _, c := range d {
		e = min(10*e+int(c-'0'), maxExponent)
	}
	return sign * e, rest, len(d) > 0
}

// digits splits s after its leading digits.
func digits(s []byte) (d, rest []byte) {
	i := 0
	for i < len(s) && '0' <= s[i] && s[i] <= '9' {
		i++
	}
	return s[:i], s[i:]
}
