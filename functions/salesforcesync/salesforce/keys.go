package salesforce

import (
	"regexp"
	"strings"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/reverse"
)

// fold returns the form of a key in which two are equal when Salesforce holds them to
// be, and the key as SOQL writes it.
func fold(f reverse.Field, key string) (folded, literal string, err error) {
	switch f.Type {
	case reverse.NumberType:
		n, err := reverse.Canonical(f, key)
		if err != nil {
			return "", "", fault.New(fault.Invalid, "a key of %s: %w", f.Name, err)
		}
		return n, n, nil
	case reverse.IDType:
		if !recordID.MatchString(key) {
			return "", "", fault.New(fault.Invalid, "a key of %s is not an id of 15 or 18 letters and digits", f.Name)
		}
		return key[:15], quote(key), nil
	case reverse.TextType, reverse.PicklistType:
		if f.CaseSensitive {
			return key, quote(key), nil
		}
		return strings.ToLower(key), quote(key), nil
	}
	return "", "", fault.New(fault.Invalid, "records cannot be found by %s: it is of type %s", f.Name, f.Type)
}

var recordID = regexp.MustCompile(`^([A-Za-z0-9]{15}|[A-Za-z0-9]{18})$`)

var escapes = strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`)

func quote(text string) string { return "'" + escapes.Replace(text) + "'" }
