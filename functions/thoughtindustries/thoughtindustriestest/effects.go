package thoughtindustriestest

import (
	"bytes"
	"regexp"

	"github.com/millrace-data/millrace/shared/rest/resttest"
)

// EmptyPage answers with a page that has no rows and says that there are more.
func EmptyPage() resttest.Effect {
	return resttest.Status(200, `{"pageInfo":{"hasMore":true},"events":[],"users":[],"contentItems":[]}`)
}

// BrokenRow spoils the JSON somewhere after the middle of the page.
func BrokenRow() resttest.Effect {
	return resttest.Rewrite(func(body []byte) []byte {
		half := len(body) / 2
		return append(bytes.Clone(body[:half]), bytes.Replace(body[half:], []byte(`":`), []byte(`";`), 1)...)
	})
}

// BadValue replaces the first value of a member, a text, number or literal, by
// value, which is JSON. Where no row has the member the page stays as it is.
func BadValue(member, value string) resttest.Effect {
	find := regexp.MustCompile(`"` + regexp.QuoteMeta(member) + `":("[^"]*"|[^",{}\[\]]+)`)
	return resttest.Rewrite(func(body []byte) []byte {
		at := find.FindSubmatchIndex(body)
		if at == nil {
			return body
		}
		return append(append(bytes.Clone(body[:at[2]]), value...), body[at[3]:]...)
	})
}
