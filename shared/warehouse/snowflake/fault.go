package snowflake

import (
	"errors"
	"strings"

	sf "github.com/snowflakedb/gosnowflake/v2"

	"github.com/millrace-data/millrace/shared/fault"
)

func failure(err error) *sf.SnowflakeError {
	var e *sf.SnowflakeError
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// numbers is the errors whose consequence their number tells. Those that pass by
// themselves are not here: no kind is Transient.
var numbers = map[int]error{
	100090: fault.Corrupt, // two source rows of a MERGE have one key
	100132: fault.Corrupt, // a JavaScript or external function failed on a row
	91016:  fault.Corrupt, // a file of a COPY is not in the stage

	90073: fault.Limited, // the resource monitor's credits are used up
	90064: fault.Limited, // the warehouse is suspended by its monitor

	606:   fault.Invalid, // no warehouse is set for the session
	904:   fault.Invalid, // no such column
	1003:  fault.Invalid, // syntax
	2003:  fault.Invalid, // no such object, or none that the role may see
	2043:  fault.Invalid,
	90105: fault.Invalid, // no current database
	90106: fault.Invalid, // no current schema

	3001: fault.Auth, // the role lacks a privilege
	3540: fault.Auth,

	390100: fault.Auth, // wrong user or password
	390101: fault.Auth,
	390102: fault.Auth, // the account is locked
	390106: fault.Auth,
	390144: fault.Auth, // the JWT does not fit the user's key, or the clock is off
	390145: fault.Auth,
	390195: fault.Auth,
	390303: fault.Auth, // the OAuth token is not valid
	390318: fault.Auth, // the OAuth token has run out
	390422: fault.Auth, // a network policy forbids this address

	390189: fault.Invalid, // the role does not exist, or is not the user's
	390190: fault.Invalid,
	390201: fault.Invalid, // the database, schema or warehouse is not there
	390400: fault.Invalid,
}

// transient is what passes by itself although its SQL state says otherwise: the
// session is gone, or the statement was cancelled, timed out or found too many
// waiters before it. Statements of ours can be sent again.
var transient = map[int]bool{604: true, 605: true, 625: true, 630: true, 390110: true, 390111: true, 390112: true, 390114: true, 390115: true}

// Fault sorts Snowflake's errors by their number, else by their SQL state.
func (Driver) Fault(err error) error {
	e := failure(err)
	if e == nil || transient[e.Number] {
		return nil
	}
	if kind := numbers[e.Number]; kind != nil {
		return kind
	}
	switch {
	case e.Number >= 260000 && e.Number < 260007 || e.Number >= 260009 && e.Number < 261000:
		return fault.Invalid // the client does not accept the configuration
	case e.Number == 264006 || e.Number >= 265000 && e.Number < 266000 || e.Number >= 268000 && e.Number < 269000:
		return fault.Invalid // a file for PUT that is not there; a value that cannot be bound
	case e.Number >= 260000 && e.Number < 280000:
		return nil // the client's other errors: networks and stages
	case strings.HasPrefix(e.SQLState, "22") && e.Number >= 100000:
		return fault.Corrupt // a value that cannot be cast or parsed
	case strings.HasPrefix(e.SQLState, "28") || e.SQLState == "42501":
		return fault.Auth
	case strings.HasPrefix(e.SQLState, "42") || strings.HasPrefix(e.SQLState, "02") || strings.HasPrefix(e.SQLState, "22"):
		return fault.Invalid // a statement that does not compile
	}
	return nil
}
