package snowflaketest

import (
	"strings"
)

// formatOf is the options of FILE_FORMAT = (…).
func formatOf(toks []token) map[string]string {
	out := map[string]string{}
	for i := range toks {
		if !toks[i].is("FILE_FORMAT") {
			continue
		}
		if i++; i < len(toks) && toks[i].is("=") {
			i++
		}
		if i >= len(toks) || !toks[i].is("(") {
			return out
		}
		for end := closing(toks, i); i+2 < end; i++ {
			if toks[i+1].kind == word && toks[i+2].is("=") && i+3 < end {
				out[toks[i+1].text] = strings.ToUpper(toks[i+3].text)
			}
		}
		return out
	}
	return out
}
