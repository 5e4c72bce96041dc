package paymentstest

import (
	"bytes"
	"fmt"
)

// The shape of a row. Fields between the marks are written per row; the rest
// depends on the row's number modulo a thousand.
const shape = `{"id":"pay_%012d","createdAt":"2000-01-01T00:00:00.000Z","customerId":"cus_%06d","amount":"%.2f",` +
	`"currency":"%s","status":"%s","method":"%s","country":"%s","description":"Invoice %06d","metadata":{"channel":"%s","attempt":%d}},`

const (
	idAt   = len(`{"id":"pay_`)
	idLen  = 12
	timeAt = idAt + idLen + len(`","createdAt":"`)
)

var (
	currencies = []string{"EUR", "USD", "GBP"}
	statuses   = []string{"captured", "refunded", "declined"}
	methods    = []string{"card", "bank", "cash"}
	countries  = []string{"DE", "FR", "US", "GB", "NL"}
	channels   = []string{"web", "app", "pos"}
)

// rowLen is the length of every row, with its comma: all fields are fixed in
// width, so that a page's length is known before it is written.
var rowLen = len(row(0))

// row is row n of the template.
func row(n int) string {
	return fmt.Sprintf(shape, 0, n*7919%1_000_000, cents(n), pick(currencies, n), pick(statuses, n/3), pick(methods, n/7),
		pick(countries, n), n*104_729%1_000_000, pick(channels, n/11), n%9+1)
}

func cents(n int) float64 { return float64(100_000+n*100_003%900_000) / 100 }

func pick(from []string, n int) string { return from[n%len(from)] }

// template is a thousand rows.
func template() []byte {
	var b bytes.Buffer
	for i := range blockN {
		b.WriteString(row(i))
	}
	return b.Bytes()
}

// fill writes the number and the time of payment n into the row at b.
func (s *server) fill(b []byte, n int) {
	digits(b[idAt:idAt+idLen], n)
	ms := n * dayMS / s.PerDay
	at := b[timeAt:]
	copy(at, s.dates[ms/dayMS])
	ms %= dayMS
	digits(at[11:13], ms/3_600_000)
	digits(at[14:16], ms/60_000%60)
	digits(at[17:19], ms/1000%60)
	digits(at[20:23], ms%1000)
}

func digits(b []byte, n int) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
}
