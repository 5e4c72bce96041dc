package reverse

import "github.com/cockroachdb/apd/v3"

func numeric(text string) bool {
	d, _, err := apd.NewFromString(text)
	return err == nil && d.Form == apd.Finite
}
