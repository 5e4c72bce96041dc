package salesforcetest

import "strings"

const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// idOf is the 18-character id of record n of an object with a key prefix.
func idOf(prefix string, n int) string {
	var b [18]byte
	copy(b[:], prefix)
	copy(b[3:], "Tw0000")
	for i := 14; i >= 9; i-- {
		b[i] = digits[n%62]
		n /= 62
	}
	sum(b[:])
	return string(b[:])
}

// sum fills in the last three characters: one for five that come before, whose bits
// say which of them are capitals. They make ids differ even where case is lost.
func sum(b []byte) {
	for part := range 3 {
		bits := 0
		for i := range 5 {
			if c := b[part*5+i]; c >= 'A' && c <= 'Z' {
				bits |= 1 << i
			}
		}
		b[15+part] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"[bits]
	}
}

// long is the 18-character form of an id of 15 or 18 characters; ok is false for
// what is no id.
func long(id string) (out string, ok bool) {
	if len(id) != 15 && len(id) != 18 {
		return "", false
	}
	var b [18]byte
	for i := range 15 {
		if strings.IndexByte(digits, id[i]) < 0 {
			return "", false
		}
		b[i] = id[i]
	}
	sum(b[:])
	return string(b[:]), len(id) == 15 || strings.EqualFold(id, string(b[:]))
}

// number is the place of a record in its table, -1 for an id the twin never gave.
func number(id string) int {
	if len(id) < 15 || id[3:9] != "Tw0000" {
		return -1
	}
	n := 0
	for i := 9; i < 15; i++ {
		n = n*62 + strings.IndexByte(digits, id[i])
	}
	return n
}
